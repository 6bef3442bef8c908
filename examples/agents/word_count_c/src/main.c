/* Reads the request on standard input and answers with the last JSON object on standard output.
   What else it prints goes to the run's log; an exit code other than 0 is a failure, and its last line on stderr why. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static char request[1 << 20];

/* The string of "text" as it stands in the JSON, with its escapes; NULL where there is none. */
static char *text_of(char *json) {
  char *at = strstr(json, "\"text\":\"");
  if (at == NULL) return NULL;
  char *begin = at + strlen("\"text\":\"");
  for (at = begin; *at != '"' && *at != '\0'; at++)
    if (*at == '\\' && at[1] != '\0') at++;
  *at = '\0';
  return begin;
}

int main(void) {
  request[fread(request, 1, sizeof request - 1, stdin)] = '\0';
  char *text = text_of(request);
  if (text == NULL) {
    fprintf(stderr, "give with.text\n");
    return 1;
  }
  int words = 0, inside = 0;
  for (char *at = text; *at != '\0'; at++) {
    int space = isspace((unsigned char)*at) || (at[0] == '\\' && strchr("nrt", at[1]) != NULL);
    if (at[0] == '\\') at++;
    if (!space && !inside) words++;
    inside = !space;
  }
  printf("a note of %d words\n", words);
  printf("{\"out\":[{\"type\":\"artifact.generic.v1\",\"value\":{\"note\":\"%s\",\"words\":%d}}]}\n", text, words);
  return 0;
}
