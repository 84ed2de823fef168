/* SPDX-License-Identifier: MIT */
/*
 * What the daemon makes of configurations, right, wrong and random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "config.h"
#include "disk_server.h"

static struct failure failure;

bool disk_server_possible(const struct disk_config *disk, struct failure *reason)
{
    (void)disk;
    (void)reason;
    return true;
}

/* The whole configuration with these disks and cards. */
static struct config *parse(const char *disks, const char *vifs)
{
    json_t *object = json_pack("{s:s, s:s, s:i, s:o, s:o}", "name", "demo", "kernel", "/boot/vmlinuz", "memory", 64,
                               "disk", json_loads(disks, 0, NULL), "vif", json_loads(vifs, 0, NULL));
    struct config *config;

    assert_non_null(object);
    memset(&failure, 0, sizeof(failure));
    config = config_parse(object, &failure);
    json_decref(object);
    return config;
}

static void refused(const char *disks, const char *vifs, const char *why)
{
    struct config *config = parse(disks, vifs);

    if (config)
        fail_msg("%s, %s: is taken", disks, vifs);
    if (!strstr(failure.why, why) || !failure.remedy[0])
        fail_msg("%s, %s: %s (%s)", disks, vifs, failure.why, failure.remedy);
}

static void disks_are_numbered_as_guests_see_them(void **state)
{
    static const struct {
        const char *vdev;
        uint32_t number;
    } names[] = {
        { "xvda", 51712 }, { "xvda1", 51713 }, { "xvdb", 51728 }, { "xvdp", 51952 }, { "sda", 2048 }, { "hda", 768 },
        { "xvdq", 1U << 28 | 16 << 8 }, { "hdc", 22 << 8 }, { "xvdaa", 1U << 28 | 26 << 8 },
    };
    static const char *const wrong[] = { "", "xvd", "xvdA", "vda", "xvda0", "xvda256", "sdq", "hde", "xvdaaa", "xvda1x" };
    uint32_t number;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(disk_number(names[i].vdev, &number));
        assert_int_equal(number, names[i].number);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (disk_number(wrong[i], &number))
            fail_msg("`%s' is taken for a disk", wrong[i]);
}

static void disks_are_read(void **state)
{
    struct config *config = parse("[{\"target\":\"/a\",\"vdev\":\"xvda\",\"format\":\"vhd\"},"
                                  "{\"target\":\"/b\",\"vdev\":\"xvdb\",\"cdrom\":true,\"access\":\"rw\"}]", "[]");

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->disk_count, 2);
    assert_string_equal(config->disks[0].format, "vpc");
    assert_true(config->disks[0].writable);
    assert_false(config->disks[1].writable);
    disk_config_remove(config, 0);
    assert_int_equal(config->disk_count, 1);
    assert_string_equal(config->disks[0].target, "/b");
    config_free(config);
    refused("[{\"target\":\"a\",\"vdev\":\"xvda\"}]", "[]", "not absolute");
    refused("[{\"target\":\"/a\",\"vdev\":\"xvda\",\"format\":\"zip\"}]", "[]", "zip");
    refused("[{\"target\":\"/a\",\"vdev\":\"xvda\",\"more\":1}]", "[]", "not understood");
    refused("[{\"target\":\"/a\",\"vdev\":\"xvda\"},{\"target\":\"/b\",\"vdev\":\"xvda\"}]", "[]", "two disks");
    refused("[1]", "[]", "not understood");
    refused("{}", "[]", "not a list");
}

static void cards_are_read(void **state)
{
    uint32_t addresses[VIF_IPS_MAX];
    struct config *config = parse("[]", "[{\"devid\":1,\"rate\":\"10Mb/s\"},{\"rate\":\"2MB/s@20ms\",\"vlan\":7,"
                                        "\"antispoof\":true},{\"mac\":\"00:16:3E:00:00:01\",\"mtu\":9000}]");

    (void)state;
    assert_non_null(config);
    assert_int_equal(config->vif_count, 3);
    assert_int_equal(config->vifs[0].index, 1);
    assert_int_equal(config->vifs[1].index, 0);
    assert_int_equal(config->vifs[2].index, 2);
    assert_int_equal(config->vifs[0].rate_bytes, 62500);
    assert_int_equal(config->vifs[0].rate_us, 50000);
    assert_int_equal(config->vifs[1].rate_bytes, 40000);
    assert_int_equal(config->vifs[1].rate_us, 20000);
    assert_true(config->vifs[1].antispoof);
    assert_string_equal(config->vifs[2].mac, "00:16:3E:00:00:01");
    config_free(config);
    refused("[]", "[{\"mac\":\"01:16:3e:00:00:00\"}]", "multicast");
    refused("[]", "[{\"devid\":1},{\"devid\":1}]", "devid 1");
    refused("[]", "[{\"vlan\":4095}]", "vlan=4095");
    refused("[]", "[{\"bridge\":\"../../etc\"}]", "bridge");
    refused("[]", "[{\"antispoof\":true,\"ip\":\"fe80::1\"}]", "cannot guard");
    refused("[]", "[{\"antispoof\":true,\"ip\":\"192.0.2.1/24\"}]", "cannot guard");
    refused("[]", "[{\"antispoof\":true,\"ip\":\" \"}]", "cannot guard");
    config = parse("[]", "[{\"antispoof\":true,\"ip\":\" 192.0.2.1  192.0.2.2\"},{\"ip\":\"fe80::1\"}]");
    assert_non_null(config);
    assert_int_equal(vif_addresses(config->vifs[0].ip, addresses), 2);
    assert_int_equal(addresses[1], htonl(0xc0000202));
    config_free(config);
}

/* The same for the same domain and card, another for others. */
static void addresses_are_derived(void **state)
{
    struct config *config = parse("[]", "[{},{}]"), *again = parse("[]", "[{},{}]");

    (void)state;
    assert_string_equal(config->vifs[0].mac, again->vifs[0].mac);
    assert_string_equal(config->vifs[1].mac, again->vifs[1].mac);
    assert_string_not_equal(config->vifs[0].mac, config->vifs[1].mac);
    assert_memory_equal(config->vifs[0].mac, "00:16:3e:", 9);
    config_free(config);
    config_free(again);
}

static void wrong_rates_are_refused(void **state)
{
    static const char *const rates[] = {
        "", "10", "10b", "10Mb", "Mb/s", "0b/s", "-1b/s", "10Tb/s", "10Mb/s@", "10Mb/s@0ms", "10Mb/s@5", "10Mb/s@5h",
        "99999999999999999999b/s", "10Mb/s@99999999999s", "1b/s@1us", "10Mb/s ", "5x",
    };
    char vif[128];

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        snprintf(vif, sizeof(vif), "[{\"rate\":\"%s\"}]", rates[i]);
        refused("[]", vif, "not a rate");
    }
}

/* Random objects of known and unknown keys and values of all kinds. */
static void random_devices_never_harm(void **state)
{
    static const char *const keys[] = {
        "target", "vdev", "format", "access", "cdrom", "bridge", "mac", "ip", "rate", "vlan", "mtu", "devid", "antispoof",
        "isolated", "script", "nonsense",
    };
    static const char *const values[] = {
        "\"/a\"", "\"xvda\"", "\"xvdb3\"", "\"raw\"", "\"qcow2\"", "\"rw\"", "true", "false", "null", "0", "-1", "7",
        "99999999999999", "1.5", "[]", "{}", "\"\"", "\"xenbr0\"", "\"00:16:3e:11:22:33\"", "\"1Gb/s@1s\"", "\"vif-bridge\"",
        "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"",
    };
    uint32_t seed = 99;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[1024] = "[{";
        struct config *config;

        for (int i = 0; i < 4; i++) {
            size_t length = strlen(text);

            seed = seed * 1664525 + 1013904223;
            snprintf(text + length, sizeof(text) - length, "%s\"%s\":%s", i ? "," : "",
                     keys[(seed >> 8) % (sizeof(keys) / sizeof(keys[0]))],
                     values[(seed >> 16) % (sizeof(values) / sizeof(values[0]))]);
        }
        strcat(text, "}]");
        config = round % 2 ? parse(text, "[]") : parse("[]", text);
        if (config)
            config_free(config);
        else
            assert_true(failure.why[0] && failure.remedy[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disks_are_numbered_as_guests_see_them), cmocka_unit_test(disks_are_read),
        cmocka_unit_test(cards_are_read), cmocka_unit_test(addresses_are_derived),
        cmocka_unit_test(wrong_rates_are_refused), cmocka_unit_test(random_devices_never_harm),
    };

    return cmocka_run_group_tests_name("configurations of domains", tests, NULL, NULL);
}
