//! The README's section about the cluster, followed to the letter by somebody with a shell, kubectl and our binary.
//!
//! A reader's folder is laid out as a checkout, with the kubeconfigs that the section asks for. Every command of its blocks
//! is typed into one shell, in order. It must succeed, unless the README shows that the server refuses it, and what the
//! README shows must be seen, line by line; hashes, ages and `...` apart.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use regex::Regex;

use crate::Test;
use crate::control_plane::assets::Assets;
use crate::control_plane::users::{ADMIN, CONTROLLER, OPERATOR};
use crate::control_plane::{ControlPlane, Controllers};
use crate::rig::{MANDATE, free_port, root};
use crate::rights;
use crate::tests;

/// The section.
const HEADING: &str = "## On a cluster";
/// Addresses that the README and the example name; another test may hold them.
const ADDRESSES: [&str; 2] = ["127.0.0.1:8090", "127.0.0.1:8080"];
/// What the section says it is about: each of these words stands in a command.
const PARTS: [&str; 8] =
    ["mandate crds", "mandate rbac", "mandate guards", "mandate run", "examples/clinic", "mandate decide", "kubectl", "mandate verify"];
/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a shown refusal begins with.
const REFUSED: &str = "Error from server";
/// Separates what commands print.
const DONE: &str = "--- done:";

pub fn alone() -> Vec<Test> {
    tests![the_cluster_section_of_the_readme_holds_to_the_letter]
}

/// A command, and what the README shows of its output.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    command: String,
    output: Vec<String>,
}

async fn the_cluster_section_of_the_readme_holds_to_the_letter() {
    let addresses = ADDRESSES.map(|written| (written, format!("127.0.0.1:{}", free_port())));
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = shown(&section(&with_addresses(&readme, &addresses)));
    for part in PARTS {
        assert!(commands.iter().any(|shown| shown.command.contains(part)), "no command of the section has {part:?}: {commands:#?}");
    }
    let plane = ControlPlane::start(Controllers::Stock).await;
    let folder = checkout(&plane, &addresses);
    let mut shell = Shell::open(&folder);
    let mut hashes = Hashes::new();
    for Shown { command, output } in &commands {
        let (said, code) = shell.run(command);
        let refused = output.first().is_some_and(|line| line.starts_with(REFUSED));
        assert_eq!(code != 0, refused, "$ {command}\n{said}\nended with {code}; operator.log:\n{}", tail(&folder.join("operator.log")));
        seen(command, output, &said, &mut hashes);
    }
    // With the rights of its own service account, and with no more than those.
    rights::saw(&plane, &[]);
    let asked: Vec<_> = plane.requests().into_iter().filter(|request| request.user == CONTROLLER.name).collect();
    assert!(asked.iter().any(|request| request.resource == "provisioningrequests/status" && request.code == 200), "{}", asked.len());
    assert!(!asked.iter().any(|request| request.code == 403), "{:?}", asked.iter().find(|request| request.code == 403));
}

/// The text between the heading and the next.
fn section(readme: &str) -> String {
    let (_, after) = readme.split_once(&format!("\n{HEADING}\n")).unwrap_or_else(|| panic!("README.md has no section {HEADING:?}"));
    after.split("\n## ").next().unwrap_or_default().to_owned()
}

fn with_addresses(text: &str, addresses: &[(&str, String)]) -> String {
    addresses.iter().fold(text.to_owned(), |text, (written, free)| text.replace(written, free))
}

/// Commands of the fenced blocks. A block that is none of a console is not understood, and neither is output of no command.
fn shown(section: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        match (inside, line.strip_prefix("```")) {
            (false, Some("console")) => inside = true,
            (false, Some(other)) => panic!("a block of {other:?} is not understood: the section has console blocks"),
            (true, Some("")) => inside = false,
            (true, Some(other)) => panic!("a block opens inside another: {other:?}"),
            (false, None) => {}
            (true, None) => match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push(Shown { command: command.to_owned(), output: Vec::new() }),
                (None, Some(last)) => last.output.push(line.to_owned()),
                (None, None) => panic!("output before any command: {line:?}"),
            },
        }
    }
    assert!(!inside, "a block does not end");
    assert!(!commands.is_empty(), "the section has no commands");
    commands
}

/// What a reader has: the example, the kubeconfigs of the people, and the programs on the path.
fn checkout(plane: &ControlPlane, addresses: &[(&str, String)]) -> PathBuf {
    let folder = plane.folder().join("checkout");
    let example = Path::new("examples/clinic");
    for part in [example.to_owned(), example.join("sandbox")] {
        fs::create_dir_all(folder.join(&part)).unwrap();
        for entry in fs::read_dir(root().join(&part)).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
            let text = fs::read_to_string(entry.path()).unwrap();
            fs::write(folder.join(&part).join(entry.file_name()), with_addresses(&text, addresses)).unwrap();
        }
    }
    for (name, user) in [("admin", &ADMIN), ("operator", &OPERATOR)] {
        fs::copy(plane.write_kubeconfig(user), folder.join(format!("{name}.kubeconfig"))).unwrap();
    }
    fs::create_dir(folder.join("bin")).unwrap();
    symlink(MANDATE, folder.join("bin/mandate")).unwrap();
    symlink(&Assets::found().kubectl, folder.join("bin/kubectl")).unwrap();
    folder
}

/// Hashes that the README shows, each with what it stands for in this run.
type Hashes = BTreeMap<String, String>;

/// Fails unless every line that is shown was printed, in this order, and one hash is one hash wherever it is shown.
fn seen(command: &str, shown: &[String], said: &str, hashes: &mut Hashes) {
    let digits = Regex::new("[0-9a-f]{64}").unwrap();
    let all = |line: &str| digits.find_iter(line).map(|found| found.as_str().to_owned()).collect::<Vec<_>>();
    let mut lines = said.lines();
    for line in shown {
        let wanted = pattern(line);
        let found = lines.find(|line| wanted.is_match(line));
        let found = found.unwrap_or_else(|| panic!("$ {command}\nthe README shows: {line}\nwhat was printed:\n{said}"));
        for (shown, actual) in all(line).into_iter().zip(all(found)) {
            let known = hashes.entry(shown.clone()).or_insert_with(|| actual.clone());
            assert_eq!(*known, actual, "$ {command}\nthe README shows {shown} here, as it did before:\n{said}");
        }
    }
}

/// A line that differs only in hashes, in ages, in the width of columns and where the README says `...`.
fn pattern(line: &str) -> Regex {
    let hash = Regex::new("[0-9a-f]{64}").unwrap();
    let short_hash = Regex::new(r"\\-[0-9a-f]{8}\\-").unwrap();
    let age = Regex::new("^[0-9]+s$").unwrap();
    let word = |word: &str| {
        let text = regex::escape(word).replace(r"\.\.\.", ".*");
        let text = short_hash.replace_all(&text, "-[0-9a-f]{8}-").into_owned();
        if age.is_match(word) { "[0-9hms]+".to_owned() } else { hash.replace_all(&text, "[0-9a-f]{64}").into_owned() }
    };
    let words: Vec<String> = line.split_whitespace().map(word).collect();
    Regex::new(&format!(r"^\s*{}\s*$", words.join(r"\s+"))).unwrap()
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// A shell that is typed into. It ends with its input, and takes what it started in the background along.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Shell {
    fn open(folder: &Path) -> Self {
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).env_clear();
        command.env("PATH", path).env("HOME", folder).env("LANG", "C.UTF-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut shell = Self { input: child.stdin.take(), child, lines };
        shell.type_in("exec 2>&1\ntrap 'kill -KILL $(jobs -p)' EXIT");
        shell
    }

    fn type_in(&mut self, text: &str) {
        writeln!(self.input.as_mut().unwrap(), "{text}").unwrap();
    }

    /// What the command printed, and its exit code.
    fn run(&mut self, command: &str) -> (String, i32) {
        // A reader's commands do not read what is typed next.
        self.type_in(&format!("{{ {command}\n}} </dev/null\nprintf '\\n{DONE}%s\\n' $?"));
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|error| panic!("$ {command}\n{said}\nno end of it: {error}"));
            match line.strip_prefix(DONE) {
                Some(code) => return (said.trim_end().to_owned(), code.parse().unwrap()),
                None => said.extend([line.as_str(), "\n"]),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
