//! What a process asks of a pool, and what it is told: integers, in whole microseconds.

/// How a pool's limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PoolShape {
    /// Never more than the amount in any window.
    Rolling,
    /// Refills continuously.
    Bucket,
    /// Starts anew at every boundary.
    Fixed,
}

/// One limit of a pool. All spans are whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimit {
    /// How it counts.
    pub shape: PoolShape,
    /// At most so much in a window.
    pub amount: u64,
    /// The window.
    pub window: u64,
    /// How much later than its grant the provider may count a request.
    pub transit: u64,
    /// How coarsely a rolling window keeps its dates, which it rounds up.
    pub step: u64,
    /// At most so much at once, then paced evenly; what a bucket holds. 0: the amount.
    pub burst: u64,
    /// The next two boundaries of a fixed window, since 1970 by the store's clock; zeros where it opens with its first use.
    pub ends: [u64; 2],
}

/// When something counts, on the store's own clock, in microseconds. Means nothing anywhere else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// What a process wants to take: of all limits or of none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// By limit.
    pub cost: Vec<u64>,
    /// It may be reserved so many microseconds ahead.
    pub horizon: u64,
    /// So many millionths of each limit have to stay free beside it.
    pub beside: u32,
}

/// Why an account changes other than by an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// More was used than had been asked for: it counts from now on.
    Late,
    /// The provider has given back part of what was granted at that stamp.
    Back(Stamp),
    /// What was granted at that stamp was never sent.
    Unsent(Stamp),
    /// Granted so many microseconds ago by a pool that has lost its state since.
    Replay(u64),
    /// The same for so many microseconds ahead.
    Reserved(u64),
    /// Sent so many microseconds ago, while the pool couldn't be asked.
    Sent(u64),
    /// What the pool held in all so many microseconds ago, when it was last seen before it lost its state: what is more than
    /// it holds now is charged for those who haven't replayed yet, and what they replay is taken from it. A bucket is that full, and
    /// what went through it earlier isn't charged.
    Foreign(u64),
    /// That was all of what it replays. So many processes used the pool, as it was told last before the state was lost, itself
    /// included: until as many have said so, all that is free counts, for what those may have been granted who haven't; but no
    /// longer than it would have, nor than a minute after the pool had learnt. What they replay is taken from it. Costs are 0.
    Replayed(u64),
    /// So much is spent by somebody who doesn't ask this pool, in all.
    Outside,
    /// Nothing more of the limits whose cost isn't 0 for so many microseconds; of anything where all are 0.
    Pause(u64),
    /// Every pause ends.
    Resume,
}

/// A change of a pool's accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjust {
    /// Why.
    pub change: Change,
    /// By limit.
    pub cost: Vec<u64>,
}

/// Everything that a process has to say to a pool: its changes first, then what it asks for, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub process: u64,
    /// Its calls are numbered upwards. One that comes twice is answered twice and done once.
    pub seq: u64,
    /// The last of its calls that this life of the pool has answered, 0 where there is none or the pool may have forgotten it. A
    /// pool that doesn't know it has gone back in time, as a replica does that is promoted before all has reached it: what it
    /// holds is of no use, and it begins a new life.
    pub heard: u64,
    /// Which life of the pool's state it knows of, 0 for none.
    pub epoch: u64,
    /// What a new life is to be called, never 0.
    pub fresh: u64,
    /// What the store's clock should show by the process's own; 0 where it doesn't know.
    pub clock: u64,
    /// It tells that it is alive, about every quarter of a minute.
    pub beat: bool,
    /// What changes.
    pub adjusts: Vec<Adjust>,
    /// What is asked for.
    pub asks: Vec<Ask>,
}

/// The answer to an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is charged, and may be sent in so many microseconds.
    Granted {
        /// From now.
        send_in: u64,
        /// When it counts.
        at: Stamp,
    },
    /// Nothing is charged.
    Wait {
        /// It fits in so many microseconds, if nobody else asks until then, and not earlier; where everything is paused, it is to be
        /// asked for again then.
        at_least: u64,
        /// The limit that stands in the way; past the last one, a pause of everything.
        limit: usize,
    },
    /// It can never fit.
    Never {
        /// The limit that is too small for it.
        limit: usize,
    },
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Which life of the pool's state this is. Where the call named another, nothing was done: the process replays what it
    /// has sent, and calls again.
    pub epoch: u64,
    /// That life began with this call; or, where nothing was done, the pool is to be told what it held before.
    pub created: bool,
    /// Nothing was done, see `epoch`.
    pub lost: bool,
    /// The store's clock.
    pub now: Stamp,
    /// How many processes use the pool.
    pub processes: u32,
    /// What counts now, by limit.
    pub used: Vec<u64>,
    /// What counts besides for those who haven't replayed yet, and may have been granted as much: see [`Change::Replayed`].
    pub doubtful: Vec<u64>,
    /// What of it is spent by others who don't ask this pool.
    pub outside: Vec<u64>,
    /// What became of the asks.
    pub decisions: Vec<Decision>,
}
