#include <stdio.h>
#include <string.h>

/* Counts braces: { and }. */
struct counts {
    int opened;
    int closed;
};

static const char *names[] = {"{", "}"};

static int count(const char *text, struct counts *counts)
{
    for (const char *c = text; *c; c++) {
        switch (*c) {
        case '{':
            counts->opened++;
            break;
        case '}':
            counts->closed++;
            break;
        default:
            continue;
        }
    }
    if (counts->opened != counts->closed)
        return -1;
    else
        return 0;
}

int main(int argc, char **argv)
{
    struct counts counts = {0, 0};
    int i = 0;

    while (i < argc) {
        if (strlen(argv[i]) == 0) {
            i++;
            continue;
        } else if (argv[i][0] == '-') {
            puts(names[0]);
        } else {
            count(argv[i], &counts);
        }
        i++;
    }
    do {
        i--;
    } while (i > 0);
    printf("%d %d\n", counts.opened, counts.closed);
    return 0;
}
