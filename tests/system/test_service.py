# SPDX-License-Identifier: MIT
"""dom0 with Debian's systemd, and the tools as they are installed: guests start and stop with the host."""
import pathlib
import subprocess
import tempfile

from machine import OUT, ROOT, boot, check

# The first program of dom0, before systemd: does what an administrator has done before this start.
FIRST = r"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
printf 'kernel = "/boot/tiny"\nmemory = 4\n' > /root/tiny.cfg
for guest in 10,database 20,web; do
    domus define /root/tiny.cfg name=${guest#*,} && domus enable --order ${guest%,*} ${guest#*,} || exit 1
done
mkdir -p /etc/default
echo STOP_SECONDS=8 > /etc/default/domus
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
# There is no Perl here, which Debian's is written in.
printf '#!/bin/sh\n' > /usr/sbin/update-rc.d
chmod +x /usr/sbin/update-rc.d
export SYSTEMD_OFFLINE=1
# Nobody logs in, and there is no disk.
systemctl mask -q getty-static.service getty.target kmod-static-nodes.service
for unit in journal-flush modules-load random-seed remount-fs sysctl sysusers tmpfiles-setup-dev update-utmp \
    user-sessions; do
    systemctl mask -q systemd-$unit.service
done
systemctl enable -q domus.service domus-guests.service check.service || exit 1
unset SYSTEMD_OFFLINE
exec /lib/systemd/systemd
"""

UNIT = """[Unit]
After=domus-guests.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'exec > /dev/console 2>&1; sh /script || { echo DOM0-EXIT 1; poweroff -f; }'
TimeoutSec=infinity
[Install]
WantedBy=multi-user.target
"""

# Runs as a service. The machine then goes down as if somebody had pressed its button.
SCRIPT = r"""
active() { systemctl is-active -q "$@"; }
domids() { domus list | awk '/^(database|web) / { print $1, $2 }'; }
step "the daemon runs, and the guests have been started in their order"
active domus.service domus-guests.service || fail "$(systemctl status domus.service domus-guests.service)"
order=$(domus events --once | sed -n 's/.*"event":"started".*"name":"\([^"]*\)".*/\1/p' | tr '\n' ' ')
[ "$order" = "database web " ] || fail "started: $order; $(domus events --once)"
before=$(domids)
[ "$(echo "$before" | wc -l)" = 2 ] || fail "$(domus list)"
step "systemctl restart domus.service"
systemctl restart domus.service || fail "$(systemctl status domus.service)"
active domus.service domus-guests.service || fail "not active after a restart"
[ "$(domids)" = "$before" ] || fail "other guests: $(domus list)"
step "the daemon is killed"
daemon=$(cat /run/domus/domusd.pid)
kill -9 $daemon
again() { [ "$(cat /run/domus/domusd.pid)" != $daemon ] && active domus.service && domus list > /dev/null; }
wait_until 30 again || fail "systemd does not start it again: $(systemctl status domus.service)"
active domus-guests.service || fail "the guests' service has ended with it"
[ "$(domids)" = "$before" ] || fail "other guests: $(domus list)"
[ -z "$(systemctl list-units --failed --no-legend 'domus*')" ] || fail "$(systemctl --failed)"
step "systemctl poweroff"
cut -d. -f1 /proc/uptime > /root/down-since
systemctl --no-block poweroff
"""

# The last that systemd runs: all services have ended.
LAST = r"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
. /root/lib.sh
exec > /dev/console 2>&1
end() { echo "DOM0-EXIT $1"; exit; }
took=$(($(cut -d. -f1 /proc/uptime) - $(cat /root/down-since)))
ends=$(sed -n 's/.*domain \(database\|web\) is gone/gone \1/p; s/.*ended by signal.*/daemon/p' \
    /var/log/domus/domusd.log | tail -n 3 | tr '\n' ' ')
[ "$ends" = "gone web gone database daemon " ] || { (fail "ends: $ends"); end 1; }
[ $took -le 80 ] || { echo "it took $took s to go down, with a deadline of 8 s"; end 1; }
end 0
"""


def test_systemd_starts_and_stops_daemon_and_guests():
    with tempfile.TemporaryDirectory() as tmp:
        root = pathlib.Path(tmp, "root")
        subprocess.run(["make", "-s", "-C", ROOT / "toolstack", f"O={OUT}", f"DESTDIR={root}", "install"], check=True)
        files = [(str(path.relative_to(root)), path) for path in root.rglob("*") if path.is_file()]
        for target, text in (("first", FIRST), ("etc/systemd/system/check.service", UNIT),
                             ("lib/systemd/system-shutdown/last", LAST)):
            path = pathlib.Path(tmp, pathlib.Path(target).name)
            path.write_text(text)
            path.chmod(0o644 if target.endswith(".service") else 0o755)
            files.append((target, path))
        check(boot(SCRIPT, archives=["systemd.cpio"], files=files,
                   words="rdinit=/first systemd.getty_auto=0 systemd.show_status=0"))
