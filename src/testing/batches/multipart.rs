//! Forms as `multipart/form-data` (RFC 7578), as far as uploads need them.

use bytes::Bytes;
use memchr::memmem;

/// A part of a form.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file: Option<String>,
    pub(super) bytes: Bytes,
}

/// The parts of a form; `None` where it isn't one.
pub(super) fn parts(content_type: &str, body: &[u8]) -> Option<Vec<Part>> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = rest
        .split(';')
        .find_map(|part| part.trim().strip_prefix("boundary="))?;
    let boundary = boundary.trim_matches('"');
    if boundary.is_empty() {
        return None;
    }
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(&between.as_bytes()[2..])?;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = memmem::find(rest, between.as_bytes())?;
        parts.push(part(&rest[..end])?);
        rest = &rest[end + between.len()..];
    }
}

fn part(part: &[u8]) -> Option<Part> {
    let end = memmem::find(part, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&part[..end]).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let said = |wanted: &str| {
        let pairs = disposition
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.filter(|(name, _)| *name == wanted);
        value
            .map(|(_, value)| value.trim_matches('"').to_owned())
            .next()
    };
    Some(Part {
        name: said("name")?,
        file: said("filename"),
        bytes: Bytes::copy_from_slice(&part[end + 4..]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
        --x\r\ncontent-type: application/jsonl\r\ncontent-disposition: form-data; name=file; filename=\"a.jsonl\"\r\n\r\n\
        {\"a\":\r\n1}\r\n\r\n--x--\r\n";

    #[test]
    fn a_form_has_its_parts_byte_by_byte() {
        for kind in [
            "multipart/form-data; boundary=x",
            "Multipart/Form-Data;charset=utf-8; boundary=\"x\"",
        ] {
            let parts = parts(kind, FORM.as_bytes()).unwrap();
            let [purpose, file] = &parts[..] else {
                panic!("{}", parts.len())
            };
            assert_eq!(
                (&*purpose.name, &purpose.file, &*purpose.bytes),
                ("purpose", &None, &b"batch"[..])
            );
            assert_eq!(
                (&*file.name, file.file.as_deref()),
                ("file", Some("a.jsonl"))
            );
            assert_eq!(file.bytes, "{\"a\":\r\n1}\r\n");
        }
    }

    #[test]
    fn what_is_no_form_has_no_parts() {
        let form = "multipart/form-data; boundary=x";
        for (kind, body) in [
            ("application/json", FORM),
            ("multipart/form-data", FORM),
            ("multipart/form-data; boundary=", FORM),
            (form, ""),
            (form, "--y--"),
            (form, "--x"),
            (form, "--x\r\n\r\n--x--"),
            (form, &FORM[..FORM.len() - 9]),
        ] {
            assert!(parts(kind, body.as_bytes()).is_none(), "{kind} {body:?}");
        }
    }
}
