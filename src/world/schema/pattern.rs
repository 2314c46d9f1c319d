//! Patterns as Go reads them: RE2 with ASCII classes.

use regex::Regex;

/// Compiles a Go pattern.
///
/// Go's `\d`, `\w`, `\s` and `\b` are ASCII; in a class, `[` is a letter like any other and there are no set operations.
pub(super) fn compile(source: &str) -> Result<Regex, String> {
    Regex::new(&translate(source)?).map_err(|error| error.to_string().lines().last().unwrap_or_default().trim().to_owned())
}

fn translate(source: &str) -> Result<String, String> {
    let mut translated = String::with_capacity(source.len() + 16);
    let mut characters = source.chars().peekable();
    // Inside a class: how many of its characters were seen, since a leading `]` is literal.
    let mut class: Option<usize> = None;
    while let Some(character) = characters.next() {
        let seen = class.map(|seen| seen + 1);
        match (character, class) {
            ('\\', _) => {
                let escaped = characters.next().ok_or("trailing backslash")?;
                translated.push_str(&escape(escaped, class.is_some()));
                class = seen;
            }
            ('[', None) => {
                translated.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                class = Some(0);
            }
            ('[', Some(_)) if characters.peek() == Some(&':') => {
                translated.push('[');
                for inner in characters.by_ref() {
                    translated.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
                class = seen;
            }
            (']', Some(1..)) => {
                translated.push(']');
                class = None;
            }
            ('-', Some(_)) if characters.peek() == Some(&'-') => return Err("`--` in a class is ambiguous".to_owned()),
            ('[' | ']' | '&' | '~', Some(_)) => {
                translated.push('\\');
                translated.push(character);
                class = seen;
            }
            (other, _) => {
                translated.push(other);
                class = seen;
            }
        }
    }
    Ok(translated)
}

fn escape(escaped: char, in_class: bool) -> String {
    match (escaped, in_class) {
        ('d', _) => "[0-9]".to_owned(),
        ('D', _) => "[^0-9]".to_owned(),
        ('w', _) => "[0-9A-Za-z_]".to_owned(),
        ('W', _) => "[^0-9A-Za-z_]".to_owned(),
        ('s', _) => r"[\t\n\x0c\r ]".to_owned(),
        ('S', _) => r"[^\t\n\x0c\r ]".to_owned(),
        ('b', false) => r"(?-u:\b)".to_owned(),
        (other, _) => format!("\\{other}"),
    }
}
