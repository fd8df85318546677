// A program of which only the exit code is looked at: built with each sanitizer, and with musl.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
  char* text = malloc(10);
  strcpy(text, "hello");
  puts(text);
  free(text);
  return 3;
}
