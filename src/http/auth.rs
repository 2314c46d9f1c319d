//! Who a bearer token stands for.

use sha2::{Digest, Sha256};

use crate::world::server::Identity;

/// Group of everybody whose token was recognised, as on a cluster.
pub const AUTHENTICATED: &str = "system:authenticated";

/// Knows callers by their bearer token.
pub trait Authenticator: Send + Sync {
    /// Who presents the token; none when nobody is known by it. Takes the same time whichever token is presented.
    fn authenticate(&self, bearer: &str) -> Option<Identity>;
}

/// The callers of a token file in kube-apiserver's CSV form: `token,user,uid,"group1,group2"`, one a line.
///
/// Keeps digests only: neither a core dump nor a timing measurement gives a token away.
pub struct TokenFile {
    entries: Vec<Entry>,
}

struct Entry {
    token: [u8; 32],
    identity: Identity,
}

/// What is wrong with a token file. Never repeats a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("token file, line {line}: {problem}")]
pub struct TokenFileError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: TokenProblem,
}

/// What can be wrong with a line of a token file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenProblem {
    /// Fewer than three columns.
    #[error("expected at least the columns token, user and uid")]
    Columns,
    /// Empty token: every request without one would match.
    #[error("the token is empty")]
    EmptyToken,
    /// Empty user name.
    #[error("the user name is empty")]
    EmptyUser,
    /// Two lines with one token.
    #[error("the token is that of an earlier line")]
    Repeated,
    /// A quote that does not begin or end a column.
    #[error("a quoted column does not end, or a quote stands inside an unquoted one")]
    Quote,
}

impl TokenFile {
    /// Reads the file's text. Blank lines are skipped.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let failed = |problem| TokenFileError { line: index + 1, problem };
            let entry = entry(line).map_err(failed)?;
            if entries.iter().any(|earlier| same(&earlier.token, &entry.token)) {
                return Err(failed(TokenProblem::Repeated));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }
}

impl Authenticator for TokenFile {
    fn authenticate(&self, bearer: &str) -> Option<Identity> {
        let presented = digest(bearer);
        // All entries are compared whatever matched: the time tells nothing about the position.
        let found = self.entries.iter().fold(None, |found, entry| if same(&entry.token, &presented) { Some(entry) } else { found });
        found.map(|entry| entry.identity.clone())
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

fn entry(line: &str) -> Result<Entry, TokenProblem> {
    let mut columns = columns(line)?.into_iter();
    let (Some(token), Some(username), Some(_uid)) = (columns.next(), columns.next(), columns.next()) else {
        return Err(TokenProblem::Columns);
    };
    if token.is_empty() {
        return Err(TokenProblem::EmptyToken);
    }
    if username.is_empty() {
        return Err(TokenProblem::EmptyUser);
    }
    let groups = columns.next().unwrap_or_default();
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
    Ok(Entry { token: digest(&token), identity: Identity { username, groups } })
}

/// Columns of one CSV line (RFC 4180, without line breaks inside columns).
fn columns(line: &str) -> Result<Vec<String>, TokenProblem> {
    let mut columns = Vec::new();
    let mut rest = line;
    loop {
        let (column, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_column(quoted)?,
            None => plain_column(rest)?,
        };
        columns.push(column);
        match after {
            Some(after) => rest = after,
            None => return Ok(columns),
        }
    }
}

fn plain_column(text: &str) -> Result<(String, Option<&str>), TokenProblem> {
    let (column, after) = text.split_once(',').map_or((text, None), |(column, after)| (column, Some(after)));
    if column.contains('"') { Err(TokenProblem::Quote) } else { Ok((column.trim().to_owned(), after)) }
}

fn quoted_column(text: &str) -> Result<(String, Option<&str>), TokenProblem> {
    let mut column = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or(TokenProblem::Quote)?;
        column.push_str(part);
        if let Some(escaped) = after.strip_prefix('"') {
            column.push('"');
            rest = escaped;
        } else if after.trim().is_empty() {
            return Ok((column, None));
        } else {
            return after.strip_prefix(',').map(|after| (column, Some(after))).ok_or(TokenProblem::Quote);
        }
    }
}
