//! JSON strings, decoded leniently.

/// The JSON string whose opening quote was just passed, decoded, and how many bytes it took. A
/// string that is cut off gives what there is.
pub(super) fn string(json: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => return (text, at),
            b'\\' => {
                let Some(escaped) = json.get(at) else { break };
                at += 1;
                match escaped {
                    b'n' => text.push(b'\n'),
                    b't' => text.push(b'\t'),
                    b'r' => text.push(b'\r'),
                    b'b' | b'f' => text.push(b' '),
                    b'u' => {
                        let code = json
                            .get(at..at + 4)
                            .and_then(|hex| std::str::from_utf8(hex).ok())
                            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                        at = (at + 4).min(json.len());
                        // Halves of a pair don't matter: nothing that is looked for has them.
                        let char = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
                        text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    other => text.push(*other),
                }
            }
            other => text.push(*other),
        }
    }
    (text, at)
}
