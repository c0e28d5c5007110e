// A static program that prints which of its arguments, files or folders, exist.
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++)
        if (access(arguments[i], F_OK) == 0)
            puts(arguments[i]);
    return 0;
}
