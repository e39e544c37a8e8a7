use super::*;

fn tokens(text: &str) -> u64 {
    let mut traits = Traits::default();
    traits.text(text.as_bytes());
    traits.weight().div_ceil(TOKEN)
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
    assert_eq!(tokens(&"漢".repeat(8)), 9);
    assert_eq!(tokens(&"か".repeat(32)), 21);
    assert_eq!(tokens("жж"), 2);
    assert_eq!(tokens("🦀"), 3);
    assert_eq!(tokens(""), 0);
}

#[test]
fn letters_that_are_no_words_count_by_fours() {
    for text in ["a", "acgt", "aaaaaaaaaaaaaaaaaaaaaaaaab"] {
        let found = tokens(&text.repeat(4_000 / text.len()));
        assert!((990..1_100).contains(&found), "{text}: {found}");
    }
}

/// Without looking at several bytes at once.
fn one_by_one(text: &[u8]) -> Traits {
    let (mut traits, mut before) = (Traits::default(), Kind::Control);
    for block in text.chunks(BLOCK) {
        let mut others = Others::default();
        let solid = others.count(block, before);
        traits.sum(&others.take());
        traits.add(SOLID, u64::from(solid));
        before = KIND[usize::from(block[block.len() - 1])];
    }
    traits
}

#[test]
fn many_bytes_at_once_are_counted_as_one_after_the_other() {
    let mut random = 1_u64;
    let mut draw = move |of: &[u8]| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        of[(random >> 33) as usize % of.len()]
    };
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let alphabets: [&[u8]; 5] = [
        b"etaoin shr",
        b"aB c9.\n\x7f ",
        b"acgtACGT",
        &every[..128],
        &every,
    ];
    for alphabet in alphabets {
        for length in (0..100).chain([4_096, 4_111, 20_000]) {
            let text: Vec<u8> = (0..length).map(|_| draw(alphabet)).collect();
            let mut traits = Traits::default();
            traits.text(&text);
            assert_eq!(traits, one_by_one(&text), "{length} of {alphabet:?}");
        }
    }
    for text in [
        "é".repeat(40),
        "a".repeat(100_000),
        "one, é two ".repeat(99),
    ] {
        let mut traits = Traits::default();
        traits.text(text.as_bytes());
        assert_eq!(traits, one_by_one(text.as_bytes()), "{text}");
    }
}

#[test]
fn traits_are_told_apart() {
    let found = |text: &str| {
        let mut traits = Traits::default();
        traits.text(text.as_bytes());
        let [small, capitals, words, ..] = traits.0;
        (small, capitals, words, traits.0)
    };
    assert_eq!(found("one twoThree FOUR").0, 10);
    assert_eq!(found("one twoThree FOUR").1, 5);
    assert_eq!(found("one twoThree FOUR").2, 4);
    assert_eq!(found("déjà vu").2, 2);
    assert_eq!(found("\n    a  b c").3[3..6], [2, 4, 1]);
    assert_eq!(found("12 345, {\"a\":6}").3[6..10], [6, 3, 6, 4]);
    let letters = found(&"acgt".repeat(250));
    assert_eq!((letters.2, letters.3[SOLID]), (1, 62));
    assert_eq!(found(&"getWindowSize".repeat(10)).3[SOLID], 0);
    assert_eq!(found(&"incomprehensibly so ".repeat(10)).3[SOLID], 3);
    let wide = found("aé ж कか漢한。，🦀").3;
    assert_eq!(wide[WIDE..SOLID], [1, 1, 1, 3, 1, 1, 2, 1]);
    // As long as a lane can count, and longer.
    assert_eq!(found(&"a".repeat(100_000)).0, 100_000);
}
