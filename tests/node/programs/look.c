// A static program that says what it finds: each argument is a file or a folder, written down if it is there.
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++)
        if (access(arguments[i], F_OK) == 0)
            puts(arguments[i]);
    return 0;
}
