//! How long ago, as kubectl writes it.

use jiff::Timestamp;

/// Seconds in a minute, an hour, a day, a year as kubectl counts them.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The age of something that happened at `then`: `5m`, `2d3h`. An instant more than a second ahead is `<invalid>`.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs();
    if seconds < -1 {
        "<invalid>".into()
    } else if seconds < 2 * MINUTE {
        format!("{}s", seconds.max(0))
    } else if seconds < 10 * MINUTE {
        two(seconds, (MINUTE, "m"), (1, "s"))
    } else if seconds < 3 * HOUR {
        format!("{}m", seconds / MINUTE)
    } else if seconds < 8 * HOUR {
        two(seconds, (HOUR, "h"), (MINUTE, "m"))
    } else if seconds < 2 * DAY {
        format!("{}h", seconds / HOUR)
    } else if seconds < 8 * DAY {
        two(seconds, (DAY, "d"), (HOUR, "h"))
    } else if seconds < 2 * YEAR {
        format!("{}d", seconds / DAY)
    } else if seconds < 8 * YEAR {
        two(seconds, (YEAR, "y"), (DAY, "d"))
    } else {
        format!("{}y", seconds / YEAR)
    }
}

/// A count of the larger unit, and of the smaller in the rest unless that is none.
fn two(seconds: i64, (large, large_letter): (i64, &str), (small, small_letter): (i64, &str)) -> String {
    let rest = seconds % large / small;
    if rest == 0 { format!("{}{large_letter}", seconds / large) } else { format!("{}{large_letter}{rest}{small_letter}", seconds / large) }
}
