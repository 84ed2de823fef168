# SPDX-License-Identifier: MIT
"""What running domains have of the machine: memory, virtual CPUs, where those run; and what guests see of it."""
from machine import boot, check

# refused STATUS COMMAND...: it ends with that status; what it says is in /tmp/said.
HELPERS = """
refused() {
    want=$1
    shift
    "$@" >/tmp/said 2>&1
    got=$?
    [ $got = "$want" ] || fail "$*: status $got instead of $want: $(cat /tmp/said)"
}
says() { grep -q -e "$1" /tmp/said || fail "'$1' is not in: $(cat /tmp/said)"; }
"""

START = HELPERS + """
sed -i 's/^memory.*/memory = 256\\nmaxmem = 512/; s/^vcpus.*/vcpus = 2\\nmaxvcpus = 4/' /etc/domus/demo.cfg
printf 'rtc_timeoffset = 72000\\ntsc_mode = "native"\\nmax_grant_frames = 32\\nmax_maptrack_frames = 0\\n' >> /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
wait_for GUEST-READY
"""

CLOCK = """
guest demo 'date +%s'
ahead=$(($(sed -n 's/^\\([0-9]\\{9,\\}\\).*/\\1/p' /tmp/guest-said) - $(date +%s)))
[ $ahead -gt 71000 ] && [ $ahead -lt 73000 ] || fail "the guest's clock is $ahead s ahead: $(cat /tmp/guest-said)"
"""

MEMORY = """
holds() { [ "$(domus list demo | awk 'NR == 2 { print $3 }')" = "$1" ]; }
total() { guest demo 'grep MemTotal: /proc/meminfo'; sed -n 's/^MemTotal: *\\([0-9]*\\) kB.*/\\1/p' /tmp/guest-said; }
first=$(total)
domus mem-set demo 200m || fail "mem-set to 200 MiB"
wait_until 60 holds 200 || fail "demo does not give up memory: $(domus list demo)"
less=$(total)
[ $((first - less)) -gt 50000 ] || fail "the guest sees $less KiB after $first KiB"
domus mem-set demo 409600k || fail "mem-set to 400 MiB"
wait_until 60 holds 400 || fail "demo does not take more memory: $(domus list demo)"
more=$(total)
[ $((more - first)) -gt 130000 ] || fail "the guest sees $more KiB after $first KiB"
refused 1 domus mem-set demo 600; says 'maximum of 512 MiB'; says 'domus mem-max demo 600m'
domus mem-max demo 600 || fail mem-max
guest demo 'echo online > /sys/devices/system/memory/auto_online_blocks'
domus mem-set demo 550 || fail "mem-set up to a new maximum"
wait_until 60 holds 550 || fail "demo does not grow beyond what it was made for: $(domus list demo)"
domus mem-set demo 256 || fail "mem-set back"
wait_until 60 holds 256 || fail "demo does not shrink again"
refused 1 domus mem-set demo 1; says 'MiB'
refused 1 domus mem-max demo 100; says 'mem-set demo'
refused 2 domus mem-set demo 12x
refused 2 domus mem-set demo -5
refused 1 domus mem-set nobody 12; says 'no domain nobody'
refused 1 domus mem-set Domain-0 20; says 'dom0 uses'
refused 1 domus mem-set Domain-0 999999
domus mem-set 0 700 || fail "dom0 gives up memory"
dom0_holds() { [ "$(domus list Domain-0 | awk 'NR == 2 { print $3 }')" -le 700 ]; }
wait_until 60 dom0_holds || fail "dom0 did not give up memory: $(domus list)"
"""

VCPUS = """
online() { guest demo 'grep -c ^processor /proc/cpuinfo'; grep -q "^$1" /tmp/guest-said; }
domus vcpu-set demo 4 || fail vcpu-set
# Bringing them online is udev's part in a guest.
there() { guest demo 'ls -d /sys/devices/system/cpu/cpu3/online'; grep -q '^/sys' /tmp/guest-said; }
wait_until 30 there || fail "the guest does not see new CPUs"
guest demo 'for n in 2 3; do echo 1 > /sys/devices/system/cpu/cpu$n/online; done'
wait_until 30 online 4 || fail "new CPUs do not run: $(cat /tmp/guest-said)"
[ "$(domus vcpu-list demo | grep -c offline)" = 0 ] || fail "$(domus vcpu-list demo)"
domus vcpu-set demo 1 || fail "vcpu-set 1"
wait_until 60 online 1 || fail "CPUs do not go: $(cat /tmp/guest-said)"
refused 1 domus vcpu-set demo 5; says maxvcpus
refused 2 domus vcpu-set demo 0
refused 2 domus vcpu-set demo many
"""

PLACEMENT = """
affinity() { domus vcpu-list demo | awk -v n=$1 'NR > 1 && $3 == n { print $(NF - 2), $NF }'; }
domus vcpu-pin demo 0 1 || fail vcpu-pin
[ "$(affinity 0)" = "1 all" ] || fail "$(domus vcpu-list demo)"
domus vcpu-pin demo all 0-1,^0 0 || fail "vcpu-pin all"
[ "$(affinity 3)" = "1 0" ] || fail "$(domus vcpu-list demo)"
domus vcpu-pin demo all all - || fail "vcpu-pin all all -"
[ "$(affinity 3)" = "all 0" ] || fail "$(domus vcpu-list demo)"
domus vcpu-pin demo 0 nodes:0 all || fail "by node"
refused 1 domus vcpu-pin demo 0 7; says "CPUs 0 to 1"
refused 1 domus vcpu-pin demo 9 0; says "0 to 3"
refused 1 domus vcpu-pin demo 0 0,x; says "no list of CPUs"
refused 2 domus vcpu-pin demo zero 0
domus sched -d demo -w 512 -c 50 || fail sched
domus sched-credit -d demo | grep -q '^demo .* 512 *50$' || fail "$(domus sched -d demo)"
domus sched-credit -d demo -c=0 || fail "sched -c=0"
domus sched -s -t 10 -r 500 || fail "sched -s"
domus sched | grep -q 'Cpupool Pool-0: tslice=10ms ratelimit=500us' || fail "$(domus sched)"
refused 1 domus sched -d demo -w 0; says "1 to 65535"
refused 1 domus sched -d demo -c 9000; says "percent"
refused 1 domus sched -s -t 5000; says "time slice"
refused 2 domus sched -w 12
"""

POOLS = """
refused 1 domus cpupool-create name=night cpus=1; says 'domus cpupool-cpu-remove Pool-0 1'
domus cpupool-cpu-remove Pool-0 1 || fail cpupool-cpu-remove
refused 1 domus cpupool-cpu-remove Pool-0 0; says 'last'
printf 'name = "night"\\ncpus = ["1"]\\nsched = "credit"\\n' > /tmp/pool.cfg
domus cpupool-create /tmp/pool.cfg || fail cpupool-create
domus cpupool-list -c | grep -q '^night *1$' || fail "$(domus cpupool-list -c)"
domus cpupool-migrate demo night || fail cpupool-migrate
domus cpupool-list night | grep -q '^night *1 *credit *y *1$' || fail "$(domus cpupool-list)"
domus sched -p night | grep -q '^demo ' || fail "$(domus sched -p night)"
guest demo 'grep -c ^processor /proc/cpuinfo'
refused 1 domus cpupool-destroy night; says 'domains'
refused 1 domus cpupool-migrate Domain-0 night
refused 1 domus cpupool-create name=night; says 'already'
domus cpupool-rename night day || fail cpupool-rename
domus cpupool-migrate demo Pool-0 || fail "back to Pool-0"
domus cpupool-destroy day || fail cpupool-destroy
domus cpupool-cpu-add Pool-0 1 || fail cpupool-cpu-add
[ "$(domus cpupool-list --json | grep -o '"free_cpus":"[a-z]*"')" = '"free_cpus":"none"' ] || fail "$(domus cpupool-list --json)"
refused 1 domus cpupool-destroy Pool-0
domus cpupool-numa-split || fail cpupool-numa-split
domus cpupool-list | grep -q '^Pool-node0 ' || fail "$(domus cpupool-list)"
domus cpupool-rename Pool-node0 Pool-0
"""

# A CPU of the host goes off line under a vCPU that may run on it alone, as dom0's kernel asks for it, and comes back.
HOST_CPUS = """
cpu1=/sys/devices/system/xen_cpu/xen_cpu1/online
state() { echo $(cat $cpu1) $(domus info | sed -n 's/^nr_cpus *: *//p') $(domus cpupool-list -c | sed -n 's/^Pool-0 *//p'); }
before=$(state)
for n in 1 2 3; do
    domus vcpu-pin demo 0 1 || fail "vcpu-pin demo 0 1"
    echo 0 > $cpu1 || fail "CPU 1 does not go off line"
    [ "$(state)" = "0 1 0" ] || fail "CPU 1 is off line: $(state)"
    [ "$(affinity 0)" = "all all" ] || fail "$(domus vcpu-list demo)"
    guest demo 'grep -c ^processor /proc/cpuinfo'
    echo 1 > $cpu1 || fail "CPU 1 does not come back"
    [ "$(state)" = "$before" ] || fail "CPU 1 is back: $(state) instead of $before"
done
"""

TOP = """
domus top -b -i 2 -d 1 -s memory > /tmp/top || fail top
[ "$(grep -c '^demo ' /tmp/top)" = 2 ] || fail "$(cat /tmp/top)"
grep -A2 '^Domus' /tmp/top | sed -n 3p | grep -q '^Domain-0 ' || fail "not sorted by memory: $(cat /tmp/top)"
guest demo 'dd if=/dev/xvda of=/dev/null bs=64k count=16 iflag=direct; ping -c 3 -W 5 10.0.0.1 > /dev/null'
# Name, state, time, CPU%, memory, memory%, maxmem, vCPUs, cards, sent, received, disks, full, reads.
domus top -b -i 1 | awk '$1 == "demo" && $9 == 1 && $10 > 0 && $11 > 0 && $12 == 1 && $14 > 0' | grep -q . ||
    fail "$(domus top -b -i 1)"
domus top --json -i 1 | grep -q '"name":"demo".*"sectors_read":[1-9]' || fail "$(domus top --json -i 1)"
refused 2 domus top -i none
refused 2 domus top -s colour
# On a terminal: sorts by a key, ends by another.
printf mcq | TERM=vt100 domus top -d 60 > /dev/console || fail "top on a terminal"
printf q | TERM=unheard-of domus top > /dev/console 2>/tmp/said && fail "a terminal that nobody knows"
says "TERM"
"""

AFTER = """
domus vcpu-set demo 2 || fail "vcpu-set 2"
# Where and how much it runs holds for its next start.
domus vcpu-pin demo 1 0 1 || fail "vcpu-pin 1 0 1"
domus sched -d demo -w 333 || fail "sched -w 333"
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
domus list -l demo | grep -q '"maxmem": *600' || fail "the record forgot: $(domus list -l demo)"
domus reboot -w demo || fail reboot
twice() { [ "$(grep -c '^GUEST-READY' $log)" -ge 2 ]; }
wait_until 180 twice || fail "the guest did not come up again"
grep '^GUEST-UP' $log | tail -n 1 | grep -q 'cpus=2' || fail "not as before: $(grep ^GUEST-UP $log)"
[ "$(affinity 1) $(affinity 2)" = "0 1 all 0" ] || fail "not where it ran before: $(domus vcpu-list demo)"
domus sched -d demo | grep -q '^demo .* 333 ' || fail "$(domus sched -d demo)"
# A CPU that is not in its pool any more does not keep it from being made again.
domus vcpu-pin demo all 1 || fail "vcpu-pin all 1"
domus cpupool-cpu-remove Pool-0 1 || fail "cpupool-cpu-remove"
domus cpupool-create name=night 'cpus="1"' || fail "cpupool-create night"
domus cpupool-migrate demo night || fail "cpupool-migrate night"
domus cpupool-rename night dawn || fail "cpupool-rename dawn"
domus list -l demo | grep -q '"pool": *"dawn"' || fail "the record does not know the pool: $(domus list -l demo)"
"""


def test_memory_and_virtual_cpus_of_a_running_guest():
    result = boot(START + CLOCK + MEMORY + VCPUS + PLACEMENT + POOLS + HOST_CPUS + TOP + AFTER)
    check(result)
    assert result.has("sorted by name"), "top draws nothing"


RACE = HELPERS + """
domusd -d || fail domusd
for name in one two; do
    sed "s/demo/$name/; s/^memory.*/memory = 700/; /^disk/d; /^vif/d" /etc/domus/demo.cfg > /tmp/$name.cfg
done
domus create -p /tmp/one.cfg > /tmp/one 2>&1 & a=$!
domus create -p /tmp/two.cfg > /tmp/two 2>&1 & b=$!
worked=0
wait $a && worked=$((worked + 1))
wait $b && worked=$((worked + 1))
[ $worked = 1 ] || fail "$worked of two creations worked: $(cat /tmp/one /tmp/two)"
cat /tmp/one /tmp/two > /tmp/said
says 'it needs 70'; says 'Domain-0 holds'; says 'promised to others\\|holds 700 MiB'; says 'remedy: .*domus \\|remedy: give it'
sed -i 's/^memory.*/memory = 600/' /tmp/one.cfg /tmp/two.cfg
domus destroy one 2>/dev/null || domus destroy two || fail destroy
# What a domain has been promised and does not hold yet is nobody else's.
domus create -p /tmp/one.cfg name=one maxmem=1024 memory=256 || fail "create one"
domus mem-set one 700 || fail "mem-set one"
refused 1 domus create -p /tmp/two.cfg; says 'promised to others'; says 'one holds 256 MiB'
refused 1 domus mem-set Domain-0 1400; says 'promised'
domus mem-set one 256 || fail "mem-set one back"
domus create -p /tmp/two.cfg || fail "create two"
"""


def test_no_memory_is_promised_twice():
    check(boot(RACE))


AUTOBALLOON = HELPERS + """
domusd -d || fail domusd
before=$(domus list Domain-0 | awk 'NR == 2 { print $3 }')
[ "$before" -gt 1500 ] || fail "dom0 does not have all memory: $before"
sed -i 's/^memory.*/memory = 512/' /etc/domus/demo.cfg
sh /root/start-demo || fail "dom0 does not make room"
after=$(domus list Domain-0 | awk 'NR == 2 { print $3 }')
[ "$after" -lt $((before - 200)) ] || fail "dom0 had $before MiB and has $after"
sed 's/demo/two/; s/^memory.*/memory = 1900/; /^disk/d; /^vif/d' /etc/domus/demo.cfg > /tmp/two.cfg
refused 1 domus create /tmp/two.cfg; says 'Domain-0 holds'; says 'remedy'
[ "$(domus list Domain-0 | awk 'NR == 2 { print $3 }')" = "$after" ] || fail "a refused creation shrank dom0"
wait_for GUEST-READY
"""


def test_dom0_makes_room_where_it_has_all_memory():
    check(boot(AUTOBALLOON, hv_args=""))
