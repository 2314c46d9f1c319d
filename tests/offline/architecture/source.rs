//! Source text, read just well enough to check its shape.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// One source file.
pub struct Source {
    /// From the root of the repository: `src/model/name.rs`.
    pub path: String,
    /// Lines of the file.
    pub lines: usize,
    /// The text with comments and the insides of strings blanked.
    pub everything: String,
    /// The same without test modules.
    pub code: String,
}

/// Every Rust file below a folder, by path.
pub fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source::new(path.strip_prefix(root).unwrap().to_str().unwrap(), &text));
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let everything = blanked(text);
        let code = without_tests(&everything);
        Self { path: path.to_owned(), lines: text.lines().count(), everything, code }
    }

    /// Path of its module, without the crate: `kinds`, `tenant`, `rules`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect()
    }

    /// Folder (or file) directly below `src`; none for the roots of library and binary.
    pub fn layer(&self) -> Option<&str> {
        self.module().first().copied()
    }

    /// Folder below `src/kinds`, if it is in one.
    pub fn kind(&self) -> Option<&str> {
        let mut parts = self.path.strip_prefix("src/kinds/")?.split('/');
        let folder = parts.next()?;
        parts.next().map(|_| folder)
    }

    /// Name of the file without its ending.
    pub fn stem(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// A file of tests only.
    pub fn is_test(&self) -> bool {
        self.stem() == "tests" || self.stem().ends_with("_tests")
    }

    /// Every path used that begins at the crate, `crate::` dropped and `super::` resolved.
    pub fn uses(&self) -> BTreeSet<String> {
        static BEGIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(crate|super)::((?:super::)*)").unwrap());
        let module = self.module();
        let mut uses = BTreeSet::new();
        let mut done = 0;
        for found in BEGIN.captures_iter(&self.code) {
            let (start, end) = (found.get(0).unwrap().start(), found.get(0).unwrap().end());
            if start < done {
                continue;
            }
            done = end;
            let base: Vec<&str> = if &found[1] == "crate" {
                Vec::new()
            } else {
                let levels = 1 + found[2].matches("super").count();
                module[..module.len().saturating_sub(levels)].to_vec()
            };
            expand(&self.code[end..], &base.join("::"), &mut uses);
        }
        uses.retain(|used| !used.is_empty());
        uses
    }

    /// First members named after `module::` in the text.
    pub fn members_of(&self, module: &str) -> BTreeSet<String> {
        let found = Regex::new(&format!(r"(?:^|[^:\w]){module}::(\w+)")).unwrap();
        found.captures_iter(&self.code).map(|member| member[1].to_owned()).collect()
    }

    /// Functions with a body, and how many lines of code each has, its signature's last line included.
    pub fn functions(&self) -> Vec<(String, usize)> {
        static BEGIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bfn (\w+)").unwrap());
        let named = BEGIN.captures_iter(&self.code);
        named
            .filter_map(|found| {
                let rest = &self.code[found.get(0).unwrap().end()..];
                let body = body(rest)?;
                Some((found[1].to_owned(), body.lines().filter(|line| !line.trim().is_empty()).count()))
            })
            .collect()
    }
}

/// The paths of one use tree at the beginning of `text`: `a::{b, c::{self, d}}`.
fn expand(text: &str, base: &str, uses: &mut BTreeSet<String>) {
    let joined = |name: &str| if base.is_empty() || name.is_empty() { format!("{base}{name}") } else { format!("{base}::{name}") };
    if let Some(group) = text.strip_prefix('{') {
        for branch in branches(group) {
            expand(branch.trim_start(), base, uses);
        }
        return;
    }
    let length = text.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(text.len());
    let name = &text[..length];
    match text[length..].strip_prefix("::") {
        Some(rest) if !name.is_empty() && rest.starts_with(|next: char| next.is_alphabetic() || next == '_' || next == '{') => {
            expand(rest, &joined(name), uses);
        }
        Some(_) | None => drop(uses.insert(if name == "self" { base.to_owned() } else { joined(name) })),
    }
}

/// The parts of a group up to its closing brace, separated by commas that are not in an inner group.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|branch| !branch.trim().is_empty());
    found
}

/// From the first brace outside of brackets to its counterpart; none when the function has no body.
fn body(text: &str) -> Option<&str> {
    let (mut brackets, mut braces, mut start) = (0, 0, None);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' if start.is_none() => brackets += 1,
            ')' | ']' if start.is_none() => brackets -= 1,
            ';' if start.is_none() && brackets == 0 => return None,
            '{' => {
                start.get_or_insert(at);
                braces += 1;
            }
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(&text[start?..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

fn without_tests(code: &str) -> String {
    static BEGIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub\s+)?mod\s+\w+\s*").unwrap());
    let mut kept = code.to_owned();
    while let Some(found) = BEGIN.find(&kept) {
        let (start, end) = (found.start(), found.end());
        let length = if kept[end..].starts_with('{') { body(&kept[end..]).map_or(kept.len() - end, str::len) } else { 0 };
        kept.replace_range(start..end + length, "");
    }
    kept
}

/// The text with comments and the insides of string and character literals replaced by blanks, line by line the same.
fn blanked(text: &str) -> String {
    static LITERAL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r#"(?s)//[^\n]*|/\*.*?\*/|"#,
            r##"\br#"(?:.*?)"#|\br"[^"]*"|"##,
            r#"b?"(?:\\.|[^"\\])*"|"#,
            r"'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\'])'",
        ))
        .unwrap()
    });
    let blank =
        |found: &regex::Captures<'_>| found[0].chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect::<String>();
    LITERAL.replace_all(text, blank).into_owned()
}
