//! A transcript as text: what is copied, and what is acted out.

/// Lines that begin a block of acts, and end it.
const BEGIN: &str = "```console";
const END: &str = "```";

/// One part of a transcript. What was observed when it was written last is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// Kept as it is.
    Text(String),
    /// Acted out: where it begins, what is to be done, and how it was typed.
    Act { line: usize, act: String, typed: String },
}

/// The parts of a transcript, in order.
pub fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut inside = false;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if inside && line.starts_with("$ ") {
            let (mut act, mut typed) = (line.trim_start_matches("$ ").to_owned(), line.to_owned());
            // As a shell has it: a backslash at the end takes in the next line.
            while act.ends_with(" \\") {
                let Some((_, more)) = lines.next() else { break };
                act = format!("{} {}", act.trim_end_matches(" \\"), more.trim_start());
                typed = format!("{typed}\n{more}");
            }
            parts.push(Part::Act { line: number + 1, act, typed });
        } else if !inside || line == END {
            parts.push(Part::Text(line.to_owned()));
        }
        inside = if inside { line != END } else { line == BEGIN };
    }
    parts
}

/// Words of an act, as a shell takes them: quotes hold words together.
pub fn words(act: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quote, mut begun) = (String::new(), None, false);
    for character in act.chars() {
        match (character, quote) {
            ('"' | '\'', None) => (quote, begun) = (Some(character), true),
            (_, Some(open)) if character == open => quote = None,
            (' ', None) => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(character);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[test]
fn acts_stand_in_console_blocks_only_and_what_was_observed_is_dropped() {
    let text = "# A\n$ prose\n```console\n$ settle\nseen before\n$ one \\\n  two\n```\n```yaml\n$ a: b\n```\n";
    let line = |text: &str| Part::Text(text.to_owned());
    let act = |line, act: &str, typed: &str| Part::Act { line, act: act.to_owned(), typed: typed.to_owned() };
    let expected = [
        line("# A"),
        line("$ prose"),
        line("```console"),
        act(4, "settle", "$ settle"),
        act(6, "one two", "$ one \\\n  two"),
        line("```"),
        line("```yaml"),
        line("$ a: b"),
        line("```"),
    ];
    assert_eq!(parts(text), expected);
    assert_eq!(words("edit 'a b' -> \"c d\" ''"), ["edit", "a b", "->", "c d", ""]);
}
