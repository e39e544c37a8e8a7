//! What came, what became of it, and what any window of the run held.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Charged to every limit, and served unless a fault struck afterwards.
    Admitted,
    /// Refused by a limit, with when to come back.
    RateLimited,
    /// Refused by a limit that it can never fit into.
    TooLarge,
    /// Answered or hung up on before it was counted: an outage, a fault, a scripted answer, a
    /// wrong key, path or body, a dead model, no money left, the list of models, files or batches.
    Uncounted,
}

/// One request, as the provider saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival {
    /// When it was counted, since the provider's start.
    pub at: Duration,
    /// The model it asked for; empty where it named none.
    pub model: Arc<str>,
    /// Requests that it was charged: 1, or 0 where it wasn't admitted.
    pub requests: u64,
    /// Tokens that it asked to reserve: the prompt's estimate and the most that the answer may have.
    pub reserved: u64,
    /// Tokens that its charge stands at: what it reserved, or what it used once that was trued
    /// up; 0 where it wasn't admitted.
    pub charged: u64,
    /// Tokens that it really used; 0 where it wasn't served.
    pub actual: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The status of the answer; `None` where there was none, only a closed connection.
    pub status: Option<u16>,
}

/// The limits and windows that a report is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) minute: Duration,
    pub(super) day: Duration,
    pub(super) requests_per_minute: Option<u64>,
    pub(super) tokens_per_minute: Option<u64>,
}

/// The last arrivals, and the sums of all.
#[derive(Debug)]
pub(super) struct Log {
    capacity: usize,
    arrivals: VecDeque<Arrival>,
    /// How many came before those that are kept.
    forgotten: u64,
    first: Option<Duration>,
    last: Duration,
    admitted: u64,
    rate_limited: u64,
    too_large: u64,
    uncounted: u64,
    hung_up: u64,
    tokens_admitted: u64,
    tokens_charged: u64,
    tokens_actual: u64,
    statuses: BTreeMap<u16, u64>,
    in_flight: u64,
    peak_in_flight: u64,
    pub(super) connections: u64,
    /// When how much of answers was produced; as many as arrivals are kept.
    produced: VecDeque<(Duration, u64)>,
    tokens_produced: u64,
    pub(super) elsewhere: (u64, u64),
}

impl Log {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            arrivals: VecDeque::new(),
            forgotten: 0,
            first: None,
            last: Duration::ZERO,
            admitted: 0,
            rate_limited: 0,
            too_large: 0,
            uncounted: 0,
            hung_up: 0,
            tokens_admitted: 0,
            tokens_charged: 0,
            tokens_actual: 0,
            statuses: BTreeMap::new(),
            in_flight: 0,
            peak_in_flight: 0,
            connections: 0,
            produced: VecDeque::new(),
            tokens_produced: 0,
            elsewhere: (0, 0),
        }
    }

    /// Tokens of an answer were produced.
    pub(super) fn produce(&mut self, now: u64, tokens: u64) {
        self.tokens_produced += tokens;
        self.produced.push_back((Duration::from_nanos(now), tokens));
        if self.produced.len() > self.capacity {
            self.produced.pop_front();
        }
    }

    /// How many have come so far.
    pub(super) fn len(&self) -> u64 {
        self.forgotten + self.arrivals.len() as u64
    }

    pub(super) fn admitted(&self) -> u64 {
        self.admitted
    }

    pub(super) fn arrivals(&self) -> impl Iterator<Item = &Arrival> {
        self.arrivals.iter()
    }

    /// Notes an arrival, which is in flight from now on. Returns its number.
    pub(super) fn push(&mut self, arrival: Arrival) -> u64 {
        self.first.get_or_insert(arrival.at);
        self.last = arrival.at;
        match arrival.outcome {
            Outcome::Admitted => {
                self.admitted += 1;
                self.tokens_admitted += arrival.reserved;
            }
            Outcome::RateLimited => self.rate_limited += 1,
            Outcome::TooLarge => self.too_large += 1,
            Outcome::Uncounted => self.uncounted += 1,
        }
        match arrival.status {
            Some(status) => *self.statuses.entry(status).or_default() += 1,
            None => self.hung_up += 1,
        }
        self.tokens_charged += arrival.charged;
        self.tokens_actual += arrival.actual;
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
        let number = self.len();
        self.arrivals.push_back(arrival);
        if self.arrivals.len() > self.capacity {
            self.arrivals.pop_front();
            self.forgotten += 1;
        }
        number
    }

    /// The arrivals that are kept and of these models, in a log of their own. None is in flight.
    pub(super) fn of(&self, model: impl Fn(&str) -> bool) -> Self {
        let mut log = Self::new(self.capacity);
        for arrival in self.arrivals().filter(|arrival| model(&arrival.model)) {
            log.push(arrival.clone());
            log.leave();
        }
        log.peak_in_flight = 0;
        log
    }

    /// The charge of an arrival changed from one amount to another.
    pub(super) fn settle(&mut self, number: u64, from: u64, to: u64) {
        self.tokens_charged = self.tokens_charged - from + to;
        let kept = number.checked_sub(self.forgotten);
        if let Some(arrival) = kept.and_then(|i| self.arrivals.get_mut(i as usize)) {
            arrival.charged = to;
        }
    }

    /// One is no longer in flight.
    pub(super) fn leave(&mut self) {
        self.in_flight -= 1;
    }

    pub(super) fn report(&self, seed: u64, frame: Frame) -> Report {
        let requests = || self.arrivals().map(|a| (a.at, a.requests));
        let tokens = || self.arrivals().map(|a| (a.at, a.charged));
        let first = self.first.unwrap_or_default();
        let windows = (self.last - first).as_nanos() / frame.minute.as_nanos();
        let end = frame.minute.as_nanos() * windows;
        let within = |sum: u64, (at, amount): (Duration, u64)| {
            if (at - first).as_nanos() < end {
                sum + amount
            } else {
                sum
            }
        };
        Report {
            seed,
            requests: self.len(),
            admitted: self.admitted,
            rate_limited: self.rate_limited,
            too_large: self.too_large,
            uncounted: self.uncounted,
            hung_up: self.hung_up,
            statuses: self.statuses.clone(),
            tokens_admitted: self.tokens_admitted,
            tokens_charged: self.tokens_charged,
            tokens_actual: self.tokens_actual,
            most_requests_in_a_minute: most_in_any(frame.minute, requests()),
            most_tokens_in_a_minute: most_in_any(frame.minute, tokens()),
            tokens_produced: self.tokens_produced,
            most_tokens_produced_in_a_minute: most_in_any(
                frame.minute,
                self.produced.iter().copied(),
            ),
            requests_elsewhere: self.elsewhere.0,
            tokens_elsewhere: self.elsewhere.1,
            most_requests_in_a_day: most_in_any(frame.day, requests()),
            windows: u64::try_from(windows).unwrap_or(u64::MAX),
            requests_in_windows: requests().fold(0, within),
            tokens_in_windows: tokens().fold(0, within),
            requests_per_minute: frame.requests_per_minute,
            tokens_per_minute: frame.tokens_per_minute,
            in_flight: self.in_flight,
            peak_in_flight: self.peak_in_flight,
            connections: self.connections,
        }
    }
}

/// The most that any window holds, wherever it begins. A window holds its beginning, not its
/// end. It is enough to look at those that begin with a charge.
pub(super) fn most_in_any(window: Duration, charges: impl Iterator<Item = (Duration, u64)>) -> u64 {
    let mut held = VecDeque::new();
    let (mut sum, mut most) = (0, 0);
    for (at, amount) in charges.filter(|(_, amount)| *amount > 0) {
        while let Some((before, left)) = held.front().copied()
            && at - before >= window
        {
            sum -= left;
            held.pop_front();
        }
        sum += amount;
        most = most.max(sum);
        held.push_back((at, amount));
    }
    most
}

/// What a provider saw so far.
///
/// Counts are of the whole run. What windows held is computed from the arrivals that are kept,
/// the last 1,000,000 unless
/// [`log_capacity`](super::ProviderBuilder::log_capacity) says otherwise. "A minute" is as long
/// as the box's minute, and tokens in windows are those that charges stand at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The seed of everything that was drawn.
    pub seed: u64,
    /// Requests that arrived, whatever became of them.
    pub requests: u64,
    /// Requests that every limit admitted.
    pub admitted: u64,
    /// Requests that a limit refused for now.
    pub rate_limited: u64,
    /// Requests that are larger than a whole limit.
    pub too_large: u64,
    /// Requests that were answered or hung up on before they were counted.
    pub uncounted: u64,
    /// Requests whose connection was closed without an answer.
    pub hung_up: u64,
    /// How many answers had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// Tokens that the admitted requests reserved.
    pub tokens_admitted: u64,
    /// Tokens that their charges stand at: the same, less what was trued up.
    pub tokens_charged: u64,
    /// Tokens that they really used.
    pub tokens_actual: u64,
    /// Tokens of answers that were produced so far, by those under way as well.
    pub tokens_produced: u64,
    /// The most tokens of answers produced in any minute, wherever it begins.
    pub most_tokens_produced_in_a_minute: u64,
    /// Requests that [were charged](super::Provider::spend) for somebody else.
    pub requests_elsewhere: u64,
    /// Tokens that were charged with these.
    pub tokens_elsewhere: u64,
    /// The most requests admitted in any minute, wherever it begins.
    pub most_requests_in_a_minute: u64,
    /// The most tokens charged in any minute, wherever it begins.
    pub most_tokens_in_a_minute: u64,
    /// The most requests admitted in any day, wherever it begins.
    pub most_requests_in_a_day: u64,
    /// Whole minutes between the first arrival and the last.
    pub windows: u64,
    /// Requests admitted in these whole minutes.
    pub requests_in_windows: u64,
    /// Tokens charged in these whole minutes.
    pub tokens_in_windows: u64,
    /// The limit on requests a minute.
    pub requests_per_minute: Option<u64>,
    /// The limit on tokens a minute, or on those of prompts where there is only that one.
    pub tokens_per_minute: Option<u64>,
    /// Requests being dealt with now.
    pub in_flight: u64,
    /// The most that were being dealt with at once.
    pub peak_in_flight: u64,
    /// Connections accepted; 0 without a server.
    pub connections: u64,
}

impl Report {
    /// How much of the tokens was used: those charged in the whole minutes after the first
    /// arrival, as a part of what these allow. 0 before a whole minute, and without a limit.
    /// A bucket allows one limit more than it refills, so it can come to `(windows + 1) / windows`.
    pub fn utilisation(&self) -> f64 {
        self.part(self.tokens_in_windows, self.tokens_per_minute)
    }

    /// How much of the requests was used, by the same rule.
    pub fn request_utilisation(&self) -> f64 {
        self.part(self.requests_in_windows, self.requests_per_minute)
    }

    /// How many answers had this status.
    pub fn status(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }

    fn part(&self, used: u64, limit: Option<u64>) -> f64 {
        match limit {
            Some(limit) if limit > 0 && self.windows > 0 => {
                used as f64 / (self.windows as f64 * limit as f64)
            }
            _ => 0.0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests: {} admitted, {} rate limited, {} too large, {} uncounted; \
             {} tokens admitted, {} charged, {} used; \
             at most {} requests and {} tokens in a minute; ",
            self.requests,
            self.admitted,
            self.rate_limited,
            self.too_large,
            self.uncounted,
            self.tokens_admitted,
            self.tokens_charged,
            self.tokens_actual,
            self.most_requests_in_a_minute,
            self.most_tokens_in_a_minute,
        )?;
        write!(
            f,
            "{:.1} % of the requests and {:.1} % of the tokens of {} minutes used; seed {}",
            100.0 * self.request_utilisation(),
            100.0 * self.utilisation(),
            self.windows,
            self.seed,
        )
    }
}
