use super::*;

#[test]
fn a_version_is_its_model() {
    let table = [("gpt-4o", 1), ("gpt-4o-mini", 2), ("claude-sonnet-4-5", 3)];
    for (model, found) in [
        ("gpt-4o", Some(&1)),
        ("gpt-4o-2024-08-06", Some(&1)),
        ("gpt-4o-mini-2024-07-18", Some(&2)),
        ("claude-sonnet-4-5-20250929", Some(&3)),
        ("claude-sonnet-4-5-latest", Some(&3)),
        ("gpt-4o-audio-preview", None),
        ("gpt-4o-", None),
        ("2024-08-06", None),
        ("", None),
        ("ü-2024-08-06", None),
    ] {
        assert_eq!(row(&table, model), found, "{model}");
    }
}

type Tier = fn(&str) -> Option<QuotaBuilder>;

#[test]
fn every_row_of_every_table_is_a_quota() {
    let mut rows = 0;
    let mut build = |models: &mut dyn Iterator<Item = &'static str>, tiers: &[Tier]| {
        for model in models {
            for tier in tiers {
                let quota = tier(model).unwrap_or_else(|| panic!("{model} has no row"));
                quota
                    .build()
                    .unwrap_or_else(|error| panic!("{model}: {error}"));
                rows += 1;
            }
        }
    };
    build(
        &mut openai::models(),
        &[openai::build, openai::launch, openai::grow],
    );
    build(
        &mut openai::numbered_models(),
        &[
            openai::tier1,
            openai::tier2,
            openai::tier3,
            openai::tier4,
            openai::tier5,
        ],
    );
    build(
        &mut anthropic::models(),
        &[anthropic::start, anthropic::build, anthropic::scale],
    );
    build(
        &mut anthropic::numbered_families(),
        &[
            anthropic::tier1,
            anthropic::tier2,
            anthropic::tier3,
            anthropic::tier4,
        ],
    );
    build(
        &mut gemini::models(),
        &[gemini::free, gemini::tier1, gemini::tier2, gemini::tier3],
    );
    build(&mut groq::models(), &[groq::free, groq::developer]);
    assert!(rows > 200, "{rows}");
}

#[test]
fn a_model_whose_figures_are_not_known_has_no_quota() {
    assert!(openai::build("no-such-model").is_none());
    // Its page was found for the five tiers only.
    assert!(openai::build("gpt-5-nano").is_none());
    assert!(openai::tier1("gpt-6.1-sol").is_none());
    assert!(anthropic::tier1("claude-2").is_none());
    // Of the families of today the page names each version.
    assert!(anthropic::start("claude-opus-4-1").is_none());
    assert!(anthropic::start("claude-opus-5-9").is_none());
    assert!(groq::developer("whisper-large-v3").is_none());
}

/// What the limits of a quota that nobody used have left, in the order of the tables.
fn left(quota: Option<QuotaBuilder>) -> Vec<u64> {
    let quota = quota.unwrap().build().unwrap();
    let limits = quota.snapshot().limits;
    limits.iter().map(|limit| limit.left).collect()
}

#[test]
fn figures_of_openai_are_those_of_the_copies_of_its_pages() {
    // developers.openai.com/api/docs/models/gpt-4o.md, gpt-4o-mini.md and gpt-6-astra.md, 24 September 2026.
    assert_eq!(left(openai::tier1("gpt-4o-2024-08-06")), [500, 30_000]);
    assert_eq!(left(openai::tier5("gpt-4o")), [10_000, 30_000_000]);
    assert_eq!(left(openai::tier1("gpt-4o-mini")), [500, 200_000, 10_000]);
    assert_eq!(left(openai::tier2("gpt-4o-mini")), [5_000, 2_000_000]);
    assert_eq!(left(openai::tier4("gpt-6-astra")), [10_000, 4_000_000]);
    // gpt-4.1-mini.md (2026) and platform.openai.com/docs/models/gpt-4.1-nano (autumn 2025): they have a day's limit too.
    assert_eq!(left(openai::tier1("gpt-4.1-mini")), [500, 200_000, 10_000]);
    assert_eq!(left(openai::tier1("gpt-4.1-nano")), [500, 200_000, 10_000]);
    // platform.openai.com/docs/models/gpt-5 and text-embedding-3-small, autumn 2025.
    assert_eq!(left(openai::tier1("gpt-5-2025-08-07")), [500, 500_000]);
    assert_eq!(
        left(openai::tier1("text-embedding-3-small")),
        [3_000, 1_000_000]
    );
    // developers.openai.com/api/docs/models/gpt-6.1-sol.md, October 2026.
    assert_eq!(left(openai::build("gpt-6.1-sol")), [5_000, 1_000_000]);
    assert_eq!(left(openai::launch("gpt-6.1-sol")), [10_000, 4_000_000]);
    assert_eq!(left(openai::grow("gpt-6.1-sol")), [15_000, 40_000_000]);
}

#[test]
fn the_three_tiers_of_openai_are_three_of_the_five_before() {
    // So in the copies of the pages, and so in what readers of 6 and 7 October 2026 report of the others.
    for model in openai::models().filter(|model| openai::tier1(model).is_some()) {
        assert_eq!(left(openai::build(model)), left(openai::tier2(model)));
        assert_eq!(left(openai::launch(model)), left(openai::tier4(model)));
        assert_eq!(left(openai::grow(model)), left(openai::tier5(model)));
    }
}

#[test]
fn figures_of_anthropic_are_those_of_the_copies_of_its_page() {
    // platform.claude.com/docs/en/api/rate-limits, summer of 2026. Of requests, a second's worth goes at once.
    for model in ["claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5"] {
        assert_eq!(left(anthropic::start(model)), [17, 2_000_000, 400_000]);
        assert_eq!(left(anthropic::build(model)), [84, 5_000_000, 1_000_000]);
        assert_eq!(left(anthropic::scale(model)), [167, 10_000_000, 2_000_000]);
    }
    let fable = "claude-fable-5-1";
    assert_eq!(left(anthropic::start(fable)), [17, 500_000, 100_000]);
    assert_eq!(left(anthropic::build(fable)), [34, 1_500_000, 300_000]);
    assert_eq!(left(anthropic::scale(fable)), [67, 4_000_000, 800_000]);
    // The same page in the winter of 2025.
    let sonnet = "claude-sonnet-4-5-20250929";
    assert_eq!(left(anthropic::tier1(sonnet)), [1, 30_000, 8_000]);
    assert_eq!(left(anthropic::tier3(sonnet)), [34, 800_000, 160_000]);
    assert_eq!(
        left(anthropic::tier4("claude-haiku-4-5")),
        [67, 4_000_000, 800_000]
    );
    // The same page by its readers of May and June 2026.
    assert_eq!(
        left(anthropic::tier1("claude-opus-4-7")),
        [1, 500_000, 80_000]
    );
}

#[test]
fn figures_of_gemini_are_those_of_the_copy_of_its_page() {
    // ai.google.dev/gemini-api/docs/rate-limits, November or December 2025.
    assert_eq!(left(gemini::free("gemini-2.5-pro")), [2, 125_000, 50]);
    assert_eq!(left(gemini::free("gemini-2.5-flash")), [10, 250_000, 250]);
    assert_eq!(
        left(gemini::tier1("gemini-2.5-flash")),
        [1_000, 1_000_000, 10_000]
    );
    assert_eq!(
        left(gemini::tier2("gemini-2.0-flash-lite")),
        [20_000, 10_000_000]
    );
    assert_eq!(left(gemini::tier3("gemini-2.5-pro")), [2_000, 8_000_000]);
    assert_eq!(
        left(gemini::tier1("gemini-embedding-001")),
        [3_000, 1_000_000]
    );
}

#[test]
fn figures_of_groq_are_those_of_the_copies_of_its_pages() {
    // console.groq.com/docs/rate-limits, and for the developer plan also console.groq.com/docs/models.
    assert_eq!(
        left(groq::free("llama-3.3-70b-versatile")),
        [30, 1_000, 12_000, 100_000]
    );
    assert_eq!(
        left(groq::free("llama-3.1-8b-instant")),
        [30, 14_400, 6_000, 500_000]
    );
    assert_eq!(left(groq::free("groq/compound")), [30, 250, 70_000]);
    assert_eq!(
        left(groq::developer("llama-3.3-70b-versatile")),
        [1_000, 500_000, 300_000]
    );
}
