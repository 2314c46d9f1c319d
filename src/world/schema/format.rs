//! String and number formats, as `strfmt` of kube-openapi checks them.

use std::sync::LazyLock;

use regex::Regex;

/// A format that has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// 32-bit integer
    Int32,
    /// 64-bit integer
    Int64,
    /// 32-bit float
    Float,
    /// 64-bit float
    Double,
    /// RFC 3339 full-date
    Date,
    /// RFC 3339 date-time
    DateTime,
    /// Go's `time.ParseDuration`, or a number and a unit in words
    Duration,
    /// base64
    Byte,
    /// any UUID
    Uuid,
    /// anything
    Password,
}

/// What the API server knows and this validator does not: refused rather than ignored.
const UNSUPPORTED: [&str; 20] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "k8sshortname",
    "k8slongname",
];

const DATE_TIME: &str = r"^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})$";
const BASE64: &str = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$";
const UUID: &str = r"(?i-u)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$";
const GO_DURATION: &str = r"^[-+]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)$";
const WORDED_DURATION: &str = r"[0-9]+[\t\n\x0c\r ]*([A-Za-zµ]+)";

static PATTERNS: LazyLock<Result<Patterns, regex::Error>> = LazyLock::new(|| {
    Ok(Patterns {
        date_time: Regex::new(DATE_TIME)?,
        base64: Regex::new(BASE64)?,
        uuid: Regex::new(UUID)?,
        go_duration: Regex::new(GO_DURATION)?,
        worded_duration: Regex::new(WORDED_DURATION)?,
    })
});

struct Patterns {
    date_time: Regex,
    base64: Regex,
    uuid: Regex,
    go_duration: Regex,
    worded_duration: Regex,
}

impl Format {
    /// The format of that name for a type; none when the API server ignores it.
    pub(super) fn of(name: &str, type_name: &str) -> Result<Option<Self>, String> {
        let normal = name.replace('-', "");
        Ok(match (type_name, normal.as_str()) {
            ("integer", "int32") => Some(Self::Int32),
            ("integer", "int64") => Some(Self::Int64),
            ("number", "float") => Some(Self::Float),
            ("number", "double") => Some(Self::Double),
            ("" | "string", "date") => Some(Self::Date),
            ("" | "string", "datetime") => Some(Self::DateTime),
            ("" | "string", "duration") => Some(Self::Duration),
            ("" | "string", "byte") => Some(Self::Byte),
            ("" | "string", "uuid") => Some(Self::Uuid),
            ("" | "string", "password") => Some(Self::Password),
            ("" | "string", other) if UNSUPPORTED.contains(&other) => return Err(format!("format {name:?} is not supported")),
            (_, _) => None,
        })
    }

    /// Whether a string has this format. Formats of numbers hold for every string.
    pub(super) fn holds(self, text: &str) -> bool {
        let Ok(patterns) = &*PATTERNS else { return false };
        match self {
            Self::Int32 | Self::Int64 | Self::Float | Self::Double | Self::Password => true,
            Self::Date => is_date(text),
            Self::DateTime => is_date_time(text, patterns),
            Self::Duration => patterns.go_duration.is_match(text) || is_worded_duration(text, patterns),
            Self::Byte => patterns.base64.is_match(text),
            Self::Uuid => patterns.uuid.is_match(text),
        }
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.is_ascii() && text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text)
}

fn is_date_time(text: &str, patterns: &Patterns) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    is_date(date)
        && patterns.date_time.captures(time).is_some_and(|found| {
            let at_most = |group: usize, limit: &str| found.get(group).is_some_and(|part| part.as_str() <= limit);
            at_most(1, "23") && at_most(2, "59") && at_most(3, "59")
        })
}

/// `2 days`, `1 hour 30 minutes`: some pair anywhere in the text is enough.
fn is_worded_duration(text: &str, patterns: &Patterns) -> bool {
    const SHORT: [&str; 11] = ["ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"];
    const LONG: [&str; 8] = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    patterns.worded_duration.captures_iter(text).any(|pair| {
        let unit = pair.get(1).map(|unit| unit.as_str().to_lowercase()).unwrap_or_default();
        SHORT.contains(&unit.as_str()) || LONG.iter().any(|long| unit.starts_with(long))
    })
}
