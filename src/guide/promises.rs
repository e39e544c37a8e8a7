//! What we promise and how it is proved: each promise, the tests that would fail without it, and how to run them.
//!
//! `IT` stands for `cargo test --all-features --test it --`, `LIB` for `cargo test --all-features --lib --`, `TRUST` for
//! `cargo test --all-features --test trust --`, `STORE` for `cargo test --all-features --test store --` (needs `redis-server`).
//! `LONG` stands for `cargo test --release --all-features --test trust -- --ignored --nocapture`. Figures were measured on two
//! shared cores; the README has more of them.
//!
//! # A limit is never exceeded
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | no window of any phase holds more than the limit, whatever was acquired, dropped, settled, given back, paused, resized or observed before, and whatever the clock does | random histories of quotas beside plain lists of what was sent, of ledgers beside a provider that counts anew | `TRUST models`, `LIB core::tests::history` |
//! | a rolling client is inside a provider's rolling log, bucket and fixed windows of any phase, with requests that overtake each other on the way | random worlds of clients and providers | `LIB meter::tests::providers` |
//! | saturated for 102 minutes no provider refuses, and 97 % or more is used | a provider of each kind in virtual time: 0 refused, 99.0 % used; over real HTTP as well | `IT utilisation --nocapture` |
//! | a charge counts from when the request left, not from when it was allowed | a busy inner service, two limits stacked either way round, a provider that fails for a minute | `IT departure`, `IT busy`, `IT orders` |
//! | each further try and each fallback is charged before it leaves, by limits outside of it too | random orders of six layers through an outage: 0 over a limit in all 720 | `IT further`, `IT orders` |
//! | many processes on one store are together inside the limit, also while the server dies, forgets, stands still, is demoted or has its clock set | real servers and real processes, a rolling check at the provider | `STORE` |
//!
//! # Nobody waits longer than they must
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | a hint is exact: then it fits, and a nanosecond earlier it doesn't | random histories of every kind of account, and of all of them together | `LIB exact`, `TRUST models` |
//! | first come, first served inside a class; a large request leaves at its own earliest instant | random lines against a list | `LIB core::tests::queue`, `IT fairness` |
//! | who could go doesn't stand still, and everybody is told in time | random lines, left alone until they rest | `LIB core::tests::rest` |
//! | one wake for each turn | a million waiters | `cargo test --release --all-features --test it -- --ignored --nocapture scale` |
//! | a wait that is known to be too long is refused at once, and a provider's wait is never cut short | | `IT quota::handle`, `IT backoff_retry::waits` |
//!
//! # What is refused or dropped leaves nothing behind
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | a future may be dropped at any of its polls: nothing stays in flight, held or in line, probes are given back, no retry or fallback is begun afterwards | each layer and the whole stack, dropped at the k-th poll for every k, with waits and outages wherever there can be any | `TRUST cancel` |
//! | whatever the order in which tasks take their steps: no turn, wake-up, permit, ticket, success or spare clone is lost, no limit passed, nobody stuck | all schedules of three tasks on a quota, on a circuit and on clones that calls share, with at most three preemptions (in some tests two): 1,892,735; 280,000 random ones of eight | the two commands in `interleavings/Cargo.toml`, with `SCHEDULES=20000` before the second |
//! | the same where threads race | 100,000 drops at random, of `acquire` and of the stack | `IT drops`, `IT quota::cancel` |
//! | a refused request changes nothing | random histories | `TRUST models`, `IT a_refused_request` |
//! | what has answered holds nothing of the call any more | | `IT letting_go` |
//! | nothing grows | the whole stack at the highest rate that two cores sustain, a minute in the check and as long as one likes by hand: memory within 2 % once warm (under 15 MB), a call polled once, and once more where it has waited | `LONG soak`, with `SOAK_SECONDS=600` before it |
//!
//! # Breakers and retries neither wedge nor storm
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | exactly the permitted number of probes goes, late results change nothing, from every state there is a way back | random histories beside lists; all short histories | `LIB breaker::model`, `LIB breaker::tests` |
//! | the same where ten thousand callers race | threads that race for a probe | `IT circuit_breaker::probes` |
//! | a back-off stays inside its bounds for any number of tries | attempts from 1 to `u32::MAX` | `LIB backoff::tests` |
//! | retries stay inside their budget | random traffic; an hour of outage: 1.103 requests for each one asked, reserve included | `LIB retry_budget`, `IT outage --nocapture` |
//! | it behaves as its kind elsewhere does | 104 scenarios of other libraries' suites, 18 of which ask for what isn't offered (a table says why) | `IT conformance --nocapture` |
//!
//! # Whatever comes in does no harm
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | no number and no clock makes it panic, overflow, loop or lose count | 104 numbers and clocks that make no sense, in settings, headers and bodies | `TRUST hostile::numbers hostile::clocks` |
//! | no figure of what was used stops a limit for good: what is owed ends | each shape, with 2⁶⁴ tokens | `IT a_usage_without_end`, `LIB owed` |
//! | no answer takes more than a bounded memory or time | a gigabyte of an error, a gigabyte in one line of a stream, a header of a million durations, JSON nested 100,000 deep | `TRUST hostile::memory` |
//! | whatever bytes come in as headers, errors, usage, events, durations, dates, requests or lines of a file: nothing panics, what is cut otherwise is read the same, what passes passes whole | eight fuzz targets, a minute each | `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none usage` and its like in `fuzz` |
//! | neither a key nor a prompt nor an answer is printed | all that has a `Debug`, every event, every error with its sources, while a provider repeats them | `TRUST secrets` |
//! | a hundred thousand requests over real sockets, through drops, stalls, 5xx, outages and an empty purse: each ends once, with the right answer or an error that says why, and the ledger is exact | with hyper and with reqwest | `LONG chaos` |
//! | an answer means what its provider means by it | 97 real ones and 322 variants, cut off anywhere, in any wrapping | `IT provider::` |
//! | a closure, waker, hook or subscriber that panics or calls back leaves nothing held and deadlocks nothing | | `IT meddling`, `IT reentrant` |
//! | settings that make no sense are refused where they are made, by name and value | 151 kinds | `IT contradictions` |
//! | what the crate brings along is under licences that anybody may take, from the registry alone, once, and nothing that is banned | `deny.toml` | `cargo deny check bans licenses sources` |
//!
//! # What proves it would notice
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | the arithmetic's own tests notice when any of its signs, bounds or results is another | 2,804 changes, one at a time, when all were tried last; 35 more do nothing, each for a reason that `mutants/mutants.toml` tells | `mutants/run`, with `cargo install cargo-mutants` |
//!
//! # It costs little
//!
//! | promise | how it is proved | run |
//! |---|---|---|
//! | the admitted path allocates nothing | counted, for each layer and the whole stack | `cargo test --all-features --test allocations` |
//! | it gets no slower unnoticed | instructions of each admitted path, under callgrind, against those that were accepted | `benches/peers/instructions.sh` |
//! | a stream passes in constant memory, at nearly the speed of none | 100 MB of events: at most 1.10 of the receiver's CPU | `cargo test --release --all-features --test it -- --ignored --nocapture a_metered_stream` |
