/* SPDX-License-Identifier: MIT */
/*
 * Configurations as users write them, right and wrong: what the daemon is asked for, and what the user is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/config.h"

static struct failure failure;

/* Read `text` as a configuration file, with up to three settings that override it. */
static json_t *read_text(const char *text, char *const *settings, size_t count)
{
    char path[] = "/tmp/cli-test-XXXXXX";
    int fd = mkstemp(path);
    json_t *config;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    config = config_read(path, settings, count, &failure);
    unlink(path);
    return config;
}

/* The configuration is read as this JSON says. */
static void assert_reads(const char *text, const char *expected)
{
    json_t *config = read_text(text, NULL, 0);
    json_t *right = json_loads(expected, 0, NULL);

    if (!config)
        fail_msg("%s / %s", failure.why, failure.remedy);
    assert_non_null(right);
    if (!json_equal(config, right))
        fail_msg("read as %s", json_dumps(config, 0));
    json_decref(config);
    json_decref(right);
}

/* It is refused, for a reason with `why` in it and a remedy with `remedy` in it. */
static void assert_refused(const char *text, const char *why, const char *remedy)
{
    json_t *config = read_text(text, NULL, 0);

    if (config)
        fail_msg("read as %s", json_dumps(config, 0));
    if (!strstr(failure.why, why) || !strstr(failure.remedy, remedy))
        fail_msg("why: %s / remedy: %s", failure.why, failure.remedy);
}

#define MINIMUM "name = 'a'\nkernel = '/k'\nmemory = 64\n"

static void configuration_is_read(void **state)
{
    (void)state;
    assert_reads(MINIMUM, "{\"name\":\"a\",\"kernel\":\"/k\",\"memory\":64}");
    assert_reads("# comment = 1\n" MINIMUM "vcpus=2;maxvcpus=4 # both\nroot='/dev/xvda ro'\nextra=\"console=hvc0\"\n"
                 "on_crash='preserve'\ndisk=[ '/d,raw,xvda,w',\n  # memry = 1\n  'phy:/dev/x,xvdb,r' ]\nvif=['']\n",
                 "{\"name\":\"a\",\"kernel\":\"/k\",\"memory\":64,\"vcpus\":2,\"maxvcpus\":4,"
                 "\"cmdline\":\"root=/dev/xvda ro console=hvc0\",\"on_crash\":\"preserve\",\"vif\":[{}],"
                 "\"disk\":[{\"target\":\"/d\",\"vdev\":\"xvda\",\"format\":\"raw\",\"access\":\"rw\"},"
                 "{\"target\":\"/dev/x\",\"vdev\":\"xvdb\",\"format\":\"raw\",\"access\":\"ro\"}]}");
}

static void clocks_and_limits_are_read(void **state)
{
    (void)state;
    assert_reads(MINIMUM "tsc_mode = 'native'\nrtc_timeoffset = '-3600'\nlocaltime = 1\nmax_grant_frames = 32\n"
                 "max_maptrack_frames = 0\n",
                 "{\"name\":\"a\",\"kernel\":\"/k\",\"memory\":64,\"tsc_mode\":\"native\",\"rtc_timeoffset\":-3600,"
                 "\"localtime\":true,\"max_grant_frames\":32,\"max_maptrack_frames\":0}");
    assert_reads(MINIMUM "tsc_mode = 0\n",
                 "{\"name\":\"a\",\"kernel\":\"/k\",\"memory\":64,\"tsc_mode\":\"default\"}");
}

static void files_with_nul_bytes_are_refused(void **state)
{
    static const char text[] = MINIMUM "extra = 'a\0b'\n";
    char path[] = "/tmp/cli-test-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    assert_null(config_read(path, NULL, 0, &failure));
    assert_non_null(strstr(failure.why, "not text"));
    unlink(path);
}

static void settings_override(void **state)
{
    static char *const settings[] = {"memory=128", "extra=say \"hi\" \\o/", "vcpus=2"};
    json_t *config = read_text(MINIMUM, settings, 3);

    (void)state;
    assert_non_null(config);
    assert_int_equal(json_integer_value(json_object_get(config, "memory")), 128);
    assert_string_equal(json_string_value(json_object_get(config, "cmdline")), "say \"hi\" \\o/");
    json_decref(config);
}

static void wrong_setting_is_named(void **state)
{
    static char *const unknown[] = {"memory=128", "vcpu=2"};
    static char *const formless[] = {"vcpus"};

    (void)state;
    assert_null(read_text(MINIMUM, unknown, 2));
    assert_non_null(strstr(failure.why, "`vcpu=2'"));
    assert_non_null(strstr(failure.remedy, "vcpus"));
    assert_null(read_text(MINIMUM, formless, 1));
    assert_non_null(strstr(failure.why, "KEY=VALUE"));
}

static void wrong_keys_are_named_with_their_line(void **state)
{
    (void)state;
    assert_refused(MINIMUM "memry = 5\n", "line 4: there is no key `memry'", "`memory'");
    assert_refused(MINIMUM "disk = [ 'x = 1', # [\n '/d,raw,xvda,w' ]; kernle='a'\n", "line 5", "`kernel'");
    assert_refused("extra = 'a # b \\' = c'; xyzzy = 1\n" MINIMUM, "line 1: there is no key `xyzzy'", "domus.cfg");
    assert_refused(MINIMUM "pci = [ '00:00.0' ]\n", "line 4: pci is not supported", "take it out");
    assert_refused(MINIMUM "type = 'hvm'\n", "line 4: type", "pv");
    assert_refused("name = 'a'\nmemory = 64\n", "kernel= is missing", "kernel =");
}

static void wrong_values_are_named_with_their_line(void **state)
{
    (void)state;
    assert_refused(MINIMUM "memory = 'much'\n", "line 4: memory", "number");
    assert_refused(MINIMUM "vcpus = 0\n", "1 to 128", "number");
    assert_refused(MINIMUM "tsc_mode = 'always_emulate'\n", "not emulated", "native");
    assert_refused(MINIMUM "tsc_mode = 3\n", "not emulated", "native");
    assert_refused(MINIMUM "tsc_mode = 'other'\n", "no such mode", "native");
    assert_refused(MINIMUM "tsc_mode = 4\n", "no such mode", "native");
    assert_refused(MINIMUM "max_grant_frames = 0\n", "1 to 65536", "number");
    assert_refused(MINIMUM "localtime = 2\n", "0 to 1", "number");
    assert_refused(MINIMUM "ramdisk = [ 'a' ]\n", "it is a list", "string");
    assert_refused(MINIMUM "disk = 'a'\n", "not a list", "list");
    assert_refused(MINIMUM "on_reboot = 'explode'\n", "line 4: on_reboot", "destroy");
    assert_refused(MINIMUM "name = \"\xff\xfe\"\n", "not text", "UTF-8");
    assert_refused(MINIMUM "memory = 1 2\n", ":4:", "syntax");
    assert_refused(MINIMUM "extra = 'open\n", ":4:", "syntax");
}

static void assert_disk(const char *spec, const char *target, const char *vdev, const char *access)
{
    json_t *disk = disk_parse(spec, &failure);

    if (!disk)
        fail_msg("%s: %s", spec, failure.why);
    assert_string_equal(json_string_value(json_object_get(disk, "target")), target);
    assert_string_equal(json_string_value(json_object_get(disk, "vdev")), vdev);
    assert_string_equal(json_string_value(json_object_get(disk, "access")), access);
    json_decref(disk);
}

static void disks_are_understood(void **state)
{
    (void)state;
    assert_disk("phy:/dev/x,xvda,w", "/dev/x", "xvda", "rw");
    assert_disk("file:/path,xvda,w", "/path", "xvda", "rw");
    assert_disk("/path,raw,xvda,rw", "/path", "xvda", "rw");
    assert_disk("/path,,hda", "/path", "hda", "rw");
    assert_disk(" /path , raw , xvda , r ", "/path", "xvda", "ro");
    assert_disk("format=raw, vdev=xvdd, access=ro, target=/a,b=c.img", "/a,b=c.img", "xvdd", "ro");
    assert_disk("vdev=xvda,target=/a", "/a", "xvda", "rw");
    assert_disk("file:/x.iso,hdc:cdrom,w", "/x.iso", "hdc", "ro");
    assert_disk("/x.iso,raw,hdc,devtype=cdrom", "/x.iso", "hdc", "ro");
    assert_disk("/a,raw,xvda,w,discard,direct-io-safe,backendtype=phy", "/a", "xvda", "rw");
    assert_disk("tap:qcow2:/a.img,xvda,w", "/a.img", "xvda", "rw");
    assert_disk("/a,vmdk,xvda,w,backendtype=qdisk", "/a", "xvda", "rw");
}

static void formats_are_understood(void **state)
{
    static const char *const disks[][2] = {
        {"/a,,xvda", "raw"},        {"/a,qcow2,xvda,w", "qcow2"},          {"format=VMDK,vdev=xvda,target=/a", "vmdk"},
        {"vhd:/a,xvda", "vhd"},     {"tap2:tapdisk:aio:/a,xvda,w", "raw"}, {"/a,vhdx,xvda", "vhdx"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
        json_t *disk = disk_parse(disks[i][0], &failure);

        if (!disk)
            fail_msg("%s: %s", disks[i][0], failure.why);
        assert_string_equal(json_string_value(json_object_get(disk, "format")), disks[i][1]);
        assert_null(json_object_get(disk, "cdrom"));
        json_decref(disk);
    }
}

static void wrong_disks_are_explained(void **state)
{
    static const struct {
        const char *spec, *why;
    } cases[] = {
        {"", "which file or device"},
        {"/a", "which disk of the guest"},
        {"/a,qcow9,xvda,w", "`qcow9'"},
        {"/a,raw,xvda,x", "`x'"},
        {"/a,raw,xvda,w,extra", "one part too many"},
        {"/a,raw,xvda,w,acces=r", "did you mean `access'"},
        {"/a,raw,xvda,w,backendtype=tap", "`tap'"},
        {"/a,raw,xvda,script=block-iscsi", "`script=block-iscsi'"},
    };
    char huge[2000];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(disk_parse(cases[i].spec, &failure));
        if (!strstr(failure.why, cases[i].why) || !*failure.remedy)
            fail_msg("%s: %s", cases[i].spec, failure.why);
    }
    memset(huge, 'a', sizeof(huge));
    huge[sizeof(huge) - 1] = '\0';
    assert_null(disk_parse(huge, &failure));
    assert_null(vif_parse(huge, &failure));
}

static void network_cards_are_understood(void **state)
{
    json_t *vif = vif_parse("type=ioemu, mac=00:16:3E:aa:bb:cc,bridge=br0, ip=10.0.0.1 10.0.0.2", &failure);

    (void)state;
    assert_non_null(vif);
    assert_int_equal(json_object_size(vif), 3);
    assert_string_equal(json_string_value(json_object_get(vif, "mac")), "00:16:3E:aa:bb:cc");
    assert_string_equal(json_string_value(json_object_get(vif, "bridge")), "br0");
    json_decref(vif);
    assert_null(vif_parse("mac=00:16:3e:00:00", &failure));
    assert_null(vif_parse("mac=01:16:3e:00:00:00", &failure));
    assert_null(vif_parse("mac=00:16:3e:00:00:000", &failure));
    assert_null(vif_parse("vlan=ten", &failure));
    assert_null(vif_parse("mtu=", &failure));
    assert_null(vif_parse("devid=-1", &failure));
    assert_null(vif_parse("antispoof=maybe", &failure));
    assert_null(vif_parse("gatewaydev=eth0", &failure));
    assert_null(vif_parse("br0", &failure));
    assert_null(vif_parse("brigde=br0", &failure));
    assert_non_null(strstr(failure.why, "`bridge'"));
}

static void options_of_network_cards_are_typed(void **state)
{
    json_t *vif = vif_parse("rate=10Mb/s@20ms,vlan=12,mtu=9000,devid=3,antispoof=1,isolated=no", &failure);
    json_t *right = json_pack("{s:s, s:i, s:i, s:i, s:b, s:b}", "rate", "10Mb/s@20ms", "vlan", 12, "mtu", 9000, "devid", 3,
                              "antispoof", 1, "isolated", 0);

    (void)state;
    assert_non_null(vif);
    assert_true(json_equal(vif, right));
    json_decref(vif);
    json_decref(right);
}

static void names_nearby_are_found(void **state)
{
    static const char *const names[] = {"create", "list", "console", "destroy"};
    static const char *const pairs[][2] = {
        {"crate", "create"},
        {"lsit", "list"},
        {"destory", "destroy"},
        {"consoel", "console"},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(nearest_name(pairs[i][0], names, 4, sizeof(names[0])), pairs[i][1]);
    assert_null(nearest_name("migrate-everything", names, 4, sizeof(names[0])));
    assert_null(nearest_name("", names, 4, sizeof(names[0])));
}

/* The daemon passes on what qemu-img says of an image, in which the image may have a word. */
static void replies_command_no_terminal(void **state)
{
    json_t *reply = json_pack("{s:b, s:{s:s, s:s, s:s}}", "ok", 0, "error", "what", "a\nb", "why",
                              "\033]0;evil\a \xc2\x9b" "2J caf\xc3\xa9", "remedy", "c\rd\x7f");

    (void)state;
    failure_from_reply(&failure, reply);
    json_decref(reply);
    assert_string_equal(failure.what, "a?b");
    assert_string_equal(failure.why, "?]0;evil? ??2J caf\xc3\xa9");
    assert_string_equal(failure.remedy, "c?d?");
}

/* Text of pieces that mean something, strewn at random: either read or refused with all three parts of an error. */
static void random_text_never_harms(void **state)
{
    static const char *const pieces[] = {
        "name",
        "=",
        "'a'",
        "\"b",
        "[",
        "]",
        ",",
        "\n",
        ";",
        "#",
        "\\",
        "memory",
        "64",
        "kernel",
        "disk",
        "vif",
        "+=",
        "'mac=1'",
        "'/a,raw,xvda,w'",
        " ",
        "\xff",
        "-5",
        "0x",
        "'",
    };
    char text[512];
    uint32_t seed = 12345;

    (void)state;
    for (int round = 0; round < 5000; round++) {
        json_t *config;

        strcpy(text, round % 2 ? MINIMUM : "");
        for (int i = 0; i < 24; i++) {
            seed = seed * 1664525 + 1013904223;
            strcat(text, pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
        }
        config = read_text(text, NULL, 0);
        if (!config)
            assert_true(*failure.what && *failure.why && *failure.remedy);
        json_decref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configuration_is_read),
        cmocka_unit_test(clocks_and_limits_are_read),
        cmocka_unit_test(files_with_nul_bytes_are_refused),
        cmocka_unit_test(settings_override),
        cmocka_unit_test(wrong_setting_is_named),
        cmocka_unit_test(wrong_keys_are_named_with_their_line),
        cmocka_unit_test(wrong_values_are_named_with_their_line),
        cmocka_unit_test(disks_are_understood),
        cmocka_unit_test(formats_are_understood),
        cmocka_unit_test(wrong_disks_are_explained),
        cmocka_unit_test(network_cards_are_understood),
        cmocka_unit_test(options_of_network_cards_are_typed),
        cmocka_unit_test(names_nearby_are_found),
        cmocka_unit_test(replies_command_no_terminal),
        cmocka_unit_test(random_text_never_harms),
    };

    return cmocka_run_group_tests_name("configurations", tests, NULL, NULL);
}
