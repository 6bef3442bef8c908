//! Reads the request on standard input and answers with the last JSON object on standard output.
//! What else it prints goes to the run's log; an exit code other than 0 is a failure, and its last line on stderr why.
use std::io::Read;

/// The string of "text" as it stands in the JSON, with its escapes.
fn text_of(json: &str) -> Option<&str> {
    let key = "\"text\":\"";
    let rest = &json[json.find(key)? + key.len()..];
    let mut escaped = false;
    for (at, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
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
    let plain = text.replace("\\n", " ").replace("\\r", " ").replace("\\t", " ");
    let words = plain.split_whitespace().count();
    println!("a note of {words} words");
    println!(r#"{{"out":[{{"type":"artifact.generic.v1","value":{{"note":"{text}","words":{words}}}}}]}}"#);
}
