//! How many tokens a text has, by its bytes.

/// Sixteenths of a token, so that sums are exact.
pub(super) const TOKEN: u64 = 16;

/// The weight of every byte. A character of several bytes weighs by its first one.
const WEIGHTS: [u8; 256] = {
    let mut weights = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        weights[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b' ' => 4,
            b'0'..=b'9' => 6,
            0x00..=0x7f => 8,
            0x80..=0xbf => 0,
            0xc0..=0xdf => 8,
            0xe0..=0xef => 16,
            0xf0..=0xff => 48,
        };
        byte += 1;
    }
    weights
};

/// The weight of a text, in sixteenths of a token.
pub(super) fn weigh(text: &[u8]) -> u64 {
    text.iter()
        .map(|byte| u64::from(WEIGHTS[usize::from(*byte)]))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> u64 {
        weigh(text.as_bytes()).div_ceil(TOKEN)
    }

    #[test]
    fn no_text_is_more_than_a_tenth_under_nor_twice_over() {
        // As o200k_base counts them.
        for (text, real) in [
            ("The quick brown fox jumps over the lazy dog.", 10),
            (
                "tower is a library of modular and reusable components for building robust \
                 networking clients and servers.",
                17,
            ),
            ("12345678901234567890", 7),
            (
                "速率限制器确保客户端不会超过提供商的配额。当请求过多时，它们会排队等待，直到窗口再次打开为止。",
                32,
            ),
            (
                "レート制限は、クライアントがプロバイダーの割り当てを超えないようにします。リクエストが多すぎる場合は待機します。",
                43,
            ),
            (
                "Ограничитель скорости гарантирует, что клиент не превысит квоту поставщика. Если запросов слишком много, они ждут.",
                29,
            ),
            (
                "Ο περιοριστής ρυθμού διασφαλίζει ότι ο πελάτης δεν υπερβαίνει το όριο του παρόχου.",
                31,
            ),
            (
                "Hız sınırlayıcı, istemcinin sağlayıcının kotasını aşmamasını sağlar; istekler çok hızlı gelse bile bekletilir.",
                33,
            ),
            (
                r#"{"id":12,"name":"weather","values":[1.5,2.25,-3],"nested":{"a":true,"b":null}}"#,
                31,
            ),
            ("🦀🚀🎉👍🏽😀", 11),
        ] {
            let found = tokens(text);
            assert!(found * 10 >= real * 9, "{text}: {found} for {real}");
            assert!(found <= real * 2, "{text}: {found} for {real}");
        }
    }

    #[test]
    fn a_character_weighs_once() {
        assert_eq!(tokens("漢"), 1);
        assert_eq!(tokens("жж"), 1);
        assert_eq!(tokens("🦀"), 3);
        assert_eq!(tokens(""), 0);
    }
}
