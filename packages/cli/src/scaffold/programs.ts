/**
 * The programs of new agents in C and Rust: the request as JSON on standard input, the answer as the last JSON object on
 * standard output. Each reads the one string that it needs, without a JSON library.
 */
export const cSource = `/* Reads the request on standard input and answers with the last JSON object on standard output.
   What else it prints goes to the run's log; an exit code other than 0 is a failure, and its last line on stderr why. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static char request[1 << 20];

/* The string of "text" as it stands in the JSON, with its escapes; NULL where there is none. */
static char *text_of(char *json) {
  char *at = strstr(json, "\\"text\\":\\"");
  if (at == NULL) return NULL;
  char *begin = at + strlen("\\"text\\":\\"");
  for (at = begin; *at != '"' && *at != '\\0'; at++)
    if (*at == '\\\\' && at[1] != '\\0') at++;
  *at = '\\0';
  return begin;
}

int main(void) {
  request[fread(request, 1, sizeof request - 1, stdin)] = '\\0';
  char *text = text_of(request);
  if (text == NULL) {
    fprintf(stderr, "give with.text\\n");
    return 1;
  }
  int words = 0, inside = 0;
  for (char *at = text; *at != '\\0'; at++) {
    int space = isspace((unsigned char)*at) || (at[0] == '\\\\' && strchr("nrt", at[1]) != NULL);
    if (at[0] == '\\\\') at++;
    if (!space && !inside) words++;
    inside = !space;
  }
  printf("a note of %d words\\n", words);
  printf("{\\"out\\":[{\\"type\\":\\"artifact.generic.v1\\",\\"value\\":{\\"note\\":\\"%s\\",\\"words\\":%d}}]}\\n", text, words);
  return 0;
}
`;

export const rustSource = `//! Reads the request on standard input and answers with the last JSON object on standard output.
//! What else it prints goes to the run's log; an exit code other than 0 is a failure, and its last line on stderr why.
use std::io::Read;

/// The string of "text" as it stands in the JSON, with its escapes.
fn text_of(json: &str) -> Option<&str> {
    let key = "\\"text\\":\\"";
    let rest = &json[json.find(key)? + key.len()..];
    let mut escaped = false;
    for (at, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\\\' => escaped = true,
            '"' => return Some(&rest[..at]),
            _ => {}
        }
    }
    None
}

fn main() {
    let mut request = String::new();
    std::io::stdin().read_to_string(&mut request).expect("a request");
    let text = text_of(&request).unwrap_or_else(|| {
        eprintln!("give with.text");
        std::process::exit(1)
    });
    let plain = text.replace("\\\\n", " ").replace("\\\\r", " ").replace("\\\\t", " ");
    let words = plain.split_whitespace().count();
    println!("a note of {words} words");
    println!(r#"{{"out":[{{"type":"artifact.generic.v1","value":{{"note":"{text}","words":{words}}}}}]}}"#);
}
`;
