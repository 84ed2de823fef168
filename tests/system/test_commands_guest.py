# SPDX-License-Identifier: MIT
"""The commands on domains and on the host, each tried on a machine with a guest."""
import struct
import subprocess
import tempfile
from pathlib import Path

from machine import boot, check

# ok COMMAND...: succeeds, with output in $out. says WORDS: it is in the output. refused WORDS COMMAND...: ends with
# status 1 and says that. usage COMMAND...: ends with status 2.
HELPERS = r"""
ok() { out=$("$@" 2>&1) || fail "$*: status $?: $out"; }
says() { echo "$out" | grep -q -e "$1" || fail "'$1' is not in: $out"; }
refused() {
    words=$1
    shift
    out=$("$@" 2>&1)
    [ $? = 1 ] || fail "$*: not status 1: $out"
    says "$words"
    says 'remedy:'
}
usage() { out=$("$@" 2>&1); [ $? = 2 ] || fail "$*: not status 2: $out"; }
field() { domus list --json "$1" | sed "s/.*\"$2\":\"*\([^,\"}]*\).*/\1/"; }
"""

INFORMATION = HELPERS + r"""
sed -i 's/^memory.*/memory = 128/; s/loglevel=4/loglevel=8 sysrq_always_enabled/' /etc/domus/demo.cfg
step "without the daemon"
refused 'domusd is not running' domus list
ok domus check -n /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
step "check"
ok domus check /etc/domus/demo.cfg; says 'well formed'
sed 's/^memory/memry/; s/^vcpus/vcpu/' /etc/domus/demo.cfg > /tmp/bad.cfg
refused "line 6: there is no key .memry.*line 7: there is no key .vcpu" domus check /tmp/bad.cfg
ok domus check /etc/domus/demo.cfg name=other memory=64 'disk=[]'; says 'could be created now'
refused 'holds' domus check /etc/domus/demo.cfg name=other memory=100000 'disk=[]'
refused 'no such CPU\|CPU' domus check /etc/domus/demo.cfg name=other memory=64 'disk=[]' cpus=99
refused 'pool' domus check /etc/domus/demo.cfg name=other memory=64 'disk=[]' pool=other
refused 'xenbr7' domus check /etc/domus/demo.cfg 'vif=["bridge=xenbr7"]'
usage domus check
step "create"
ok domus create -q -p -f /etc/domus/demo.cfg name=second 'disk=[]' vcpus=2 maxvcpus=3 cpu_weight=512 cap=50 cpus=1 pool=Pool-0
[ -z "$out" ] || fail "create -q says $out"
refused 'in use' domus create /etc/domus/demo.cfg name=second 'disk=[]'
ok domus create --dryrun /etc/domus/demo.cfg; says '"config"'
usage domus create
usage domus create -V /etc/domus/demo.cfg name=screen
refused 'always' domus create /etc/domus/demo.cfg name=clock tsc_mode=always_emulate
step "list, domid, domname, uptime, in all their spellings"
ln -s $(command -v domus) /usr/bin/xl
ok domus list; says '^second .* paused'
ok domus li second; says '^second'
ok domus list -v; says "$(field second uuid)"
ok domus list -l second; says '"cpu_weight":512'
ok domus vcpu-list second; says '^second .* 1 '
ok xl list; says '^second  *[0-9]*  *128  *1  *--p---'
ok xl vm-list; says '^demo'
ok xl -vf help --long; says '  shutdown '
ok xl list -l; says '"name": "second"'
refused 'there is no domain' domus list nobody
ok domus domid second; id=$out
ok domus domname $id; says '^second$'
refused 'nobody' domus domid nobody
usage domus domname second
ok domus uptime; says '^Domain-0 .*0  *[0-9]*:'
ok domus uptime -s $id; says '^second up '
refused 'not all' domus uptime nobody
step "rename"
ok domus rename second third
ok domus domid third; [ "$out" = $id ] || fail "another number: $out"
refused 'in use' domus rename third demo
refused 'cannot be the name' domus rename third a/b
step "the paused one: unpause, pause, destroy"
ok domus unpause third
ok domus pause third
ok domus list third; says paused
refused 'dom0' domus pause 0
ok domus destroy third
refused 'there is no domain' domus destroy third
wait_for GUEST-READY
step "sysrq, trigger"
ok domus sysrq demo h
wait_until 60 grep -q 'sysrq: HELP' $log || fail "the guest does not act on SysRq"
usage domus sysrq demo hello
refused 'letter or digit' domus sysrq demo '*'
ok domus trigger demo nmi
wait_until 60 grep -q -i 'NMI received' $log || fail "the guest got no NMI"
refused 'no virtual CPU 7' domus trigger demo nmi 7
refused 'know no trigger but nmi' domus trigger demo power
refused 'no trigger of that name' domus trigger demo pull
usage domus trigger demo nmi many
step "debug-keys, dmesg, info"
ok domus debug-keys m
ok domus dmesg; says "'m' pressed"
ok domus dmesg -c
ok domus dmesg; [ ${#out} -lt 2000 ] || fail "dmesg -c does not empty the buffer"
ok domus info; says '^free_memory'
ok domus info -n; says '^  1:       1        0        0'; says '^   0: .* 10$'
ok xl inf --json; says '"ok":true'
step "log"
ok domus log; says 'is ready'
ok domus log demo; says 'domain demo is made'
domus log demo | grep third && fail "the log of demo tells of third"
ok domus log third; says 'domain third is gone'
ok domus log -c -n 5 demo
ok domus log --json demo; says '"lines":\['
refused 'No such file' domus log -c nobody
usage domus log -c
step "events"
ok domus events --once; says '"event":"destroyed","name":"third"'
ok domus events --once demo
[ "$out" = "$(echo "$out" | grep demo)" ] || fail "others' events: $out"
echo "$out" | head -n 1 | grep -q '"event":"created".*"domid":1}' || fail "first is not created: $out"
says '"event":"started"'
usage domus events -r 1000000
step "what nobody knows"
usage domus nonsense
usage domus d
usage domus list --nonsense
domus help | sed -n 's/^  \([a-z][a-z-]*\)  .*/\1/p' > /tmp/commands
[ "$(wc -l < /tmp/commands)" -gt 25 ] || fail "help lists few commands"
while read -r command; do
    ok domus $command --help; says "^usage: domus $command"
    ok domus help $command
done < /tmp/commands
step "a changed configuration, reboot"
domus events -u rebooted demo > /tmp/events &
refused 'missing' domus config-update demo /dev/null
refused 'another name' domus config-update demo /etc/domus/demo.cfg name=other
refused 'no key' domus config-update demo memroy=96
ok domus config-update demo memory=96 'extra=console=hvc0 changed'
ok domus list -l demo; says '"memory":96'
[ "$(field demo memory_kib)" = 131072 ] || fail "the memory has changed at once"
ok domus reboot -w demo
[ "$(field demo memory_kib)" = 98304 ] || fail "the memory has not changed: $(domus list)"
wait %1
grep -q '"event":"shutdown".*"reason":"reboot"' /tmp/events || fail "no shutdown: $(cat /tmp/events)"
step "shutdown by force, of a guest that does not listen yet"
usage domus shutdown
usage domus shutdown -a demo
ok domus shutdown -a -F -t 1
domus list demo && fail "it is still there"
refused 'there is no domain' domus shutdown demo
true
"""


def test_commands_on_guests_and_the_host():
    check(boot(INFORMATION))


CORE = HELPERS + r"""
sed -i 's/^memory.*/memory = 128/' /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
wait_for GUEST-READY
ok domus pause demo
ok domus dump-core demo /tmp/core
refused 'is there already' domus dump-core demo /tmp/core
refused 'not a guest' domus dump-core 0
refused '/proc/core.part' domus dump-core demo /proc/core
truncate -s 512M /dev/shm/filler && dd if=/dev/zero of=/dev/shm/filler bs=1M count=$(($(df -m /dev/shm | tail -n 1 | awk '{ print $4 }') - 100)) 2>/dev/null
refused 'MiB free' domus dump-core demo /dev/shm/core
rm /dev/shm/filler
ls /tmp/core.part && fail "a part is left"
modprobe virtio_blk
wait_until 60 [ -b /dev/vda ] || fail "no disk"
dd if=/tmp/core of=/dev/vda bs=1M conv=fsync 2>/dev/null || fail "the core does not fit"
domus destroy demo
"""


class Core:
    """A core file, by Xen's docs/misc/dump-core-format.txt."""

    def __init__(self, path):
        self.data = path.read_bytes()
        shoff, shentsize, shnum, shstrndx = (struct.unpack_from("<Q", self.data, 40)[0],
                                             *struct.unpack_from("<HHH", self.data, 58))
        headers = [struct.unpack_from("<IIQQQQIIQQ", self.data, shoff + i * shentsize) for i in range(shnum)]
        names = headers[shstrndx][4]
        self.sections = {}
        for header in headers:
            name = self.data[names + header[0]:self.data.index(b"\0", names + header[0])].decode()
            self.sections[name] = self.data[header[4]:header[4] + header[5]]

    def notes(self):
        data, at, notes = self.sections[".note.Xen"], 0, {}
        while at < len(data):
            namesz, descsz, kind = struct.unpack_from("<III", data, at)
            notes[kind] = data[at + 12 + 4:at + 12 + 4 + descsz]
            assert data[at + 12:at + 12 + namesz] == b"Xen\0"
            at += 16 + descsz
        return notes


def test_dump_core_writes_what_crash_reads():
    with tempfile.TemporaryDirectory() as tmp:
        disk = Path(tmp, "core")
        disk.write_bytes(bytes(160 << 20))
        check(boot(CORE, memory="3G", hv_args="dom0_mem=1536M",
                   extra=["-drive", f"file={disk},if=none,id=d,format=raw", "-device", "virtio-blk-pci,drive=d"]))
        said = subprocess.run(["readelf", "-h", "-S", "-n", disk], capture_output=True, text=True, check=True)
        assert not said.stderr, said.stderr
        core = Core(disk)
        notes = core.notes()
        magic, vcpus, pages, page_size = struct.unpack("<QQQQ", notes[0x2000001])
        assert (magic, vcpus, page_size) == (0xF00FEBED, 1, 4096)
        assert struct.unpack("<Q", notes[0x2000003]) == (1,)
        assert struct.unpack_from("<QQ", notes[0x2000002]) == (4, 17)
        assert pages > 30000
        assert len(core.sections[".xen_p2m"]) == 16 * pages
        assert len(core.sections[".xen_pages"]) == 4096 * pages
        # Registers: a kernel's code segment of a paravirtualized guest, in ring 3.
        assert core.sections[".xen_prstatus"]
        # The guest's memory: its kernel's banner, and what its init has printed.
        assert b"Linux version 6." in core.sections[".xen_pages"]
        pfns = [pfn for pfn, _ in struct.iter_unpack("<QQ", core.sections[".xen_p2m"])]
        assert len(set(pfns)) == len(pfns)
