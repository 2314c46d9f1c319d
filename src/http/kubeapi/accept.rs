//! Which form of a reply the client asks for.

use axum::http::{HeaderMap, header};

use super::status::Refusal;

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Whole objects.
    Object,
    /// `as=Table`: rows of printer columns.
    Table,
    /// `as=PartialObjectMetadata` or its list: metadata alone.
    Metadata,
}

/// How discovery is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryForm {
    /// One document per group and version.
    Plain,
    /// Everything in one document.
    Aggregated,
}

/// The form for objects: the first supported alternative in order of preference.
///
/// # Errors
/// 406 when no alternative is JSON.
pub fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    negotiate(headers, Form::Object, |alternative| match (alternative.shown_as, alternative.group, alternative.version) {
        (None, _, _) => Some(Form::Object),
        (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Table),
        (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => Some(Form::Metadata),
        (Some(_), _, _) => None,
    })
}

/// The form of `/api` and `/apis`.
///
/// # Errors
/// 406 when no alternative is JSON.
pub fn discovery_form(headers: &HeaderMap) -> Result<DiscoveryForm, Refusal> {
    negotiate(headers, DiscoveryForm::Plain, |alternative| match (alternative.shown_as, alternative.group, alternative.version) {
        (None, _, _) => Some(DiscoveryForm::Plain),
        (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(DiscoveryForm::Aggregated),
        (Some(_), _, _) => None,
    })
}

/// One alternative of an Accept header.
struct Alternative<'a> {
    /// Thousandths, 0 to 1000; 0 refuses the alternative.
    quality: u16,
    shown_as: Option<&'a str>,
    group: Option<&'a str>,
    version: Option<&'a str>,
}

fn negotiate<T>(headers: &HeaderMap, unasked: T, supported: impl Fn(&Alternative<'_>) -> Option<T>) -> Result<T, Refusal> {
    let lines: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if lines.iter().all(|line| line.trim().is_empty()) {
        return Ok(unasked);
    }
    let mut alternatives: Vec<Alternative<'_>> = lines.iter().flat_map(|line| line.split(',')).filter_map(parse).collect();
    alternatives.sort_by_key(|alternative| std::cmp::Reverse(alternative.quality));
    let mut acceptable = alternatives.iter().filter(|alternative| alternative.quality > 0);
    acceptable.find_map(supported).ok_or_else(Refusal::not_acceptable)
}

/// None when the alternative is no JSON.
fn parse(alternative: &str) -> Option<Alternative<'_>> {
    let mut parts = alternative.split(';').map(str::trim);
    let media_type = parts.next()?;
    if !["application/json", "application/*", "*/*"].iter().any(|json| media_type.eq_ignore_ascii_case(json)) {
        return None;
    }
    let mut parsed = Alternative { quality: 1000, shown_as: None, group: None, version: None };
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        match name.trim() {
            "q" => parsed.quality = quality(value.trim()),
            "as" => parsed.shown_as = Some(value.trim()),
            "g" => parsed.group = Some(value.trim()),
            "v" => parsed.version = Some(value.trim()),
            _ => {}
        }
    }
    Some(parsed)
}

/// `0.85` as 850; what cannot be read counts as not preferred at all.
fn quality(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    match whole {
        "1" => 1000,
        "0" => format!("{fraction:0<3}").get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0),
        _ => 0,
    }
}
