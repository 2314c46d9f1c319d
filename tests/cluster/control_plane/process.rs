//! A server process that cannot outlive the tests.
//!
//! The process hangs on a leash: a shell that waits for the end of its standard input, which the test holds open. However
//! the test ends, killed too, the input ends with it, and the shell kills the process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const LEASH: &str = r#"
exec 3<&0
"$@" </dev/null >>"$LOG" 2>&1 3<&- &
child=$!
echo $child
cat <&3 >/dev/null
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
"#;

/// A command on a leash.
pub struct Leashed {
    shell: Child,
    /// Process id of the command itself.
    pub pid: u32,
}

impl Leashed {
    /// Starts the program with its output appended to `log`. `adjust` may set environment and folder.
    pub fn start(program: &Path, arguments: &[String], log: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "leash"]).arg(program).args(arguments).env("LOG", log);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        adjust(&mut command);
        let mut shell = command.spawn().unwrap_or_else(|error| panic!("starting {}: {error}", program.display()));
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap_or_else(|_| panic!("starting {}: no process id", program.display()));
        Self { shell, pid }
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Sends a signal by name: `TERM`, `STOP`, `CONT`, `KILL`.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// One server of a control plane.
pub struct Process {
    _leashed: Leashed,
    log: PathBuf,
}

impl Process {
    pub fn start(name: &str, program: &Path, arguments: &[String], log: &Path) -> Self {
        assert!(program.exists(), "{name}: {} is missing", program.display());
        Self { _leashed: Leashed::start(program, arguments, log, |_| {}), log: log.to_owned() }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}
