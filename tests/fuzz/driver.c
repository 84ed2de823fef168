/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libFuzzer where it is not installed: inputs made at random, the same in each run. Understands -runs=N,
 * -seed=N and -max_len=N, and files with inputs to run instead.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;

static uint32_t next(void)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 33;
}

static void run_file(const char *name, uint8_t *data, size_t max)
{
    FILE *in = fopen(name, "rb");

    if (!in) {
        perror(name);
        exit(1);
    }
    LLVMFuzzerTestOneInput(data, fread(data, 1, max, in));
    fclose(in);
}

int main(int argc, char **argv)
{
    unsigned long runs = 1000, max = 1200;
    static uint8_t data[1 << 20];
    unsigned long files = 0;

    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "-runs=", 6))
            runs = strtoul(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "-seed=", 6))
            state = strtoul(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "-max_len=", 9))
            max = strtoul(argv[i] + 9, NULL, 10) % sizeof(data) + 1;
        else if (argv[i][0] != '-' && ++files)
            run_file(argv[i], data, sizeof(data));
    }
    for (unsigned long run = 0; !files && run < runs; run++) {
        size_t size = next() % max;

        for (size_t i = 0; i < size; i++)
            data[i] = next();
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%lu inputs, nothing found\n", files ? files : runs);
    return 0;
}
