//! Values of options: times, sizes, URLs, headers. What may hold a credential is never repeated in an error.

use crate::requirements::Revision;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::time::Duration;

use url::Url;

use crate::client::Profile;
use crate::codec::address;
use crate::runner::{Header, Target};

/// No time on the command line needs to be longer; sums of them stay far from any overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `500ms`, `2s`, `5m`, `1h`; a bare number is seconds.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err("a time is a number with ms, s, m or h, e.g. 500ms, 10s, 2m".into()),
    };
    let number: f64 = number.parse().map_err(|_| "a time is a number with ms, s, m or h, e.g. 500ms, 10s, 2m")?;
    let time = Duration::try_from_secs_f64(number * seconds).unwrap_or(Duration::MAX);
    if time.is_zero() {
        return Err("a time is more than nothing".into());
    }
    if time > LONGEST { Err("a time is a year at the most".into()) } else { Ok(time) }
}

/// Writes a time as [`time`] reads it.
pub(super) fn time_text(time: Duration) -> String {
    if time.subsec_nanos() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}

/// `65536`, `64KiB`, `16MiB`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let wrong = || "a size is a number of bytes, or one with KiB or MiB, e.g. 16MiB".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|size| *size > 0).ok_or_else(wrong)
}

/// The target of `--server`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("--server is empty: there is nothing to judge. If it comes from a variable, as in \
                    --server \"$URL\", the variable isn't set. (--embedded judges the built-in server.)"
            .into());
    }
    if text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("avp://")) {
        if text.contains('@') {
            return Err(userinfo("--server"));
        }
        return address::parse_server(text).map(Target::Avp).map_err(|error| format!("--server: {error}"));
    }
    web_url("--server", text, "http://, https://, grpc://, grpcs:// or avp://").map(Target::Url)
}

/// An http or https URL without credentials, query or fragment.
pub(super) fn url(option: &str, text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("{option} is empty. If it comes from a variable, the variable isn't set"));
    }
    web_url(option, text, "http://, https://, grpc:// or grpcs://")
}

fn web_url(option: &str, text: &str, schemes: &str) -> Result<Url, String> {
    let wanted = format!("{option} takes a URL with {schemes}");
    let parsed = Url::parse(text).ok();
    // `localhost:8787` parses as a URL with the scheme `localhost`.
    if !text.contains("://") {
        let looks_bare = !text.contains(['@', '?', '#']) && Url::parse(&format!("http://{text}")).is_ok();
        let hint = if looks_bare { format!("; did you mean http://{text}?") } else { String::new() };
        return Err(format!("{wanted}{hint}"));
    }
    let Some(url) = parsed else { return Err(format!("{wanted}, and this isn't a URL")) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(userinfo(option));
    }
    if !matches!(url.scheme(), "http" | "https" | "grpc" | "grpcs") {
        return Err(format!("{wanted}, not {}://", url.scheme()));
    }
    if Profile::of_scheme(url.scheme()) == Profile::Grpc {
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("{wanted}, and this has no host"));
        }
        if !matches!(url.path(), "" | "/") {
            return Err(format!("{option}: gRPC has no path prefix; give {}://HOST:PORT", url.scheme()));
        }
        if url.scheme() == "grpc" && url.port().is_none() {
            return Err(format!("{option}: grpc:// needs a port, as in grpc://127.0.0.1:50051"));
        }
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{option} takes a URL without a query (?…) or a fragment (#…)"));
    }
    Ok(url)
}

fn userinfo(option: &str) -> String {
    format!("{option} holds credentials (user@host), which would end up in reports; send them with --header instead")
}

/// A header of `--header` or `--idp-header`. Its value appears in no error.
pub(super) fn header(option: &str, text: &str) -> Result<Header, String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err(format!("{option} takes 'Name: value', with a colon"));
    };
    let (name, value) = (name.trim(), value.trim());
    let parsed: http::HeaderName =
        name.parse().map_err(|_| format!("{option} takes 'Name: value', and its name isn't one HTTP allows"))?;
    if value.is_empty() {
        return Err(format!("{option} '{name}: …' has no value. If it comes from a variable, the variable isn't set"));
    }
    let mut value: http::HeaderValue = value
        .parse()
        .map_err(|_| format!("{option} '{name}: …' has a value with characters that HTTP doesn't allow"))?;
    value.set_sensitive(true);
    let ours = ["content-length", "content-type", "transfer-encoding", "connection", "expect", "upgrade", "te"];
    if ours.contains(&parsed.as_str()) {
        return Err(format!("{option} can't set {name}: the suite needs that header itself"));
    }
    if option == "--header" && parsed == http::header::AUTHORIZATION {
        return Err(
            "--header can't set Authorization: it carries the AVP token (§6). A deployment that asks for more \
                    needs another header"
                .into(),
        );
    }
    Ok(Header { name: parsed, value })
}

/// A revision of the specification.
pub(super) fn revision() -> impl TypedValueParser<Value = Revision> {
    PossibleValuesParser::new(Revision::ALL.map(Revision::name))
        .map(|name| Revision::ALL.into_iter().find(|revision| revision.name() == name).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, millis) in [("500ms", 500), ("2s", 2_000), ("5m", 300_000), ("10", 10_000), ("1.5s", 1_500)] {
            assert_eq!(time(text).unwrap(), Duration::from_millis(millis), "{text}");
            assert_eq!(time(&time_text(time(text).unwrap())), time(text));
        }
        for text in ["", "s", "0", "0s", "-1s", "1 fortnight", "1e3", "99999999999999999999h", "1.2.3s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("16MiB"), Ok(16 << 20));
        for text in ["", "0", "1.5MiB", "x", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets() {
        assert!(matches!(target("http://127.0.0.1:8787/avp"), Ok(Target::Url(_))));
        assert!(matches!(target(" https://vault.example\n"), Ok(Target::Url(_))));
        assert!(matches!(target("avp://vault.example:99"), Ok(Target::Avp(host)) if host == "vault.example:99"));
        for (text, part) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("localhost:8787", "did you mean http://localhost:8787?"),
            ("127.0.0.1:8787", "did you mean http://127.0.0.1:8787?"),
            ("ftp://h", "not ftp://"),
            ("http://", "isn't a URL"),
            ("http://h/?x=1", "without a query"),
            ("http://h/#x", "without a query"),
            ("http://user:hunter2@h", "--header instead"),
            ("avp://user:hunter2@h", "--header instead"),
            ("user:hunter2@h", "takes a URL with"),
            ("avp://h/repo", "after the host"),
        ] {
            let error = target(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn headers() {
        let fine = header("--header", "X-Key:  s3cret ").unwrap();
        assert_eq!((fine.name.as_str(), fine.value.to_str().unwrap()), ("x-key", "s3cret"));
        assert!(fine.value.is_sensitive());
        for text in ["s3cret", "s3 cret: x", "X-Key:", "X-Key: s3cret\n", "Authorization: s3cret", "Content-Length: 3"]
        {
            let text = text.replace("s3cret\n", "s3cret\nX: y");
            let error = header("--header", &text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(header("--idp-header", "Authorization: Basic eA==").is_ok());
    }
}
