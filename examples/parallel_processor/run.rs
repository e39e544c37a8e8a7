//! The run itself: lines are read, sent and written, each as soon as there is room for it.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    input::{self, Job, Malformed},
    lines::Lines,
    output::{self, Entry},
    progress::Progress,
    record::{self, Trouble},
    resume::Done,
    send::Transport,
    stats::{Stats, Wire},
    stop::{Reason, Stop},
};

/// How many lines wait for their turn at most, so that there is always one that fits.
pub(crate) const QUEUE: usize = 32;

// With `--ordered`, how many times as many lines may wait behind one that takes long.
const WINDOW: usize = 16;

// How long what is on the wire may take once the run is to end.
const GRACE: Duration = Duration::from_secs(30);

/// What a run needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) requests: PathBuf,
    pub(crate) output: File,
    pub(crate) done: Done,
    pub(crate) max_in_flight: usize,
    pub(crate) ordered: bool,
}

/// What it shares with whoever watches it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) stats: Arc<Stats>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) progress: Progress,
}

// A line of the input that is neither blank nor done.
struct Due {
    number: u64,
    bytes: u64,
    job: Result<Job, Malformed>,
}

/// Works off the input. Says whether every line of it is through, be it succeeded or failed.
///
/// # Errors
///
/// Where the input can't be read or the output not be written.
pub(crate) async fn run<T: Transport>(
    plan: Plan,
    transport: T,
    watched: &Watched,
) -> io::Result<bool> {
    let Watched {
        stats,
        stop,
        progress,
    } = watched;
    let (lines, due) = mpsc::channel(1);
    let (entries, written) = mpsc::channel(QUEUE);
    let reader = read(&plan.requests, plan.done, Arc::clone(stats), lines)?;
    let writer = output::start(plan.output, plan.ordered, written);
    let line = Arc::new(OneLine {
        transport,
        watched: watched.clone(),
        entries,
    });

    let work = work(due, &line, plan.max_in_flight, plan.ordered);
    let through = tokio::select! {
        through = work => through,
        _ = progress.follow(stats) => unreachable!("it is followed to its end"),
    };
    drop(line);
    // Threads that have nothing more to do: the wait is for the disk alone.
    if let Err(error) = join(writer) {
        stop.finish(Reason::CantWrite);
        return Err(error);
    }
    if let Err(error) = join(reader) {
        stop.finish(Reason::CantRead);
        return Err(error);
    }
    Ok(through)
}

fn join(thread: thread::JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

// Reads on only as far as there is room.
fn read(
    path: &Path,
    mut done: Done,
    stats: Arc<Stats>,
    lines: mpsc::Sender<Due>,
) -> io::Result<thread::JoinHandle<io::Result<()>>> {
    let file = BufReader::with_capacity(1 << 16, File::open(path)?);
    Ok(thread::spawn(move || {
        let mut source = Lines::new(file, input::LONGEST);
        let mut number = 0;
        while let Some(line) = source.next()? {
            number += 1;
            let bytes = line.bytes;
            let job = match Job::read(line.text, line.too_long) {
                Some(Ok(job)) if done.take(job.text(), job.metadata.as_deref()) => {
                    stats.skipped.fetch_add(1, Relaxed);
                    None
                }
                job => job,
            };
            let Some(job) = job else {
                stats.bytes.fetch_add(bytes, Relaxed);
                continue;
            };
            let due = Due { number, bytes, job };
            if lines.blocking_send(due).is_err() {
                break;
            }
        }
        Ok(())
    }))
}

async fn work<T: Transport>(
    mut due: mpsc::Receiver<Due>,
    line: &Arc<OneLine<T>>,
    max_in_flight: usize,
    ordered: bool,
) -> bool {
    let stop = &line.watched.stop;
    let turns = Arc::new(Semaphore::new(max_in_flight + QUEUE));
    let window = if ordered { WINDOW } else { 1 };
    let rooms = Arc::new(Semaphore::new((max_in_flight + QUEUE) * window));
    let mut tasks = JoinSet::new();
    let mut place = 0;
    let all_read = loop {
        while let Some(ended) = tasks.try_join_next() {
            line.ended(ended);
        }
        let next = async {
            let room = Arc::clone(&rooms).acquire_owned().await.ok()?;
            let turn = Arc::clone(&turns).acquire_owned().await.ok()?;
            Some((due.recv().await?, room, turn))
        };
        let next = tokio::select! {
            biased;
            () = stop.finishing() => break false,
            next = next => next,
        };
        let Some((due, room, turn)) = next else {
            break true;
        };
        tasks.spawn(Arc::clone(line).work(due, place, room, turn));
        place += 1;
    };
    drop(due);

    let grace = async {
        stop.finishing().await;
        tokio::time::sleep(GRACE).await;
        stop.at_once(Reason::Interrupted);
        std::future::pending::<()>().await;
    };
    let rest = async {
        let mut all = true;
        while let Some(ended) = tasks.join_next().await {
            all &= line.ended(ended);
        }
        all
    };
    let all_through = tokio::select! {
        all = rest => all,
        () = grace => unreachable!("it only hurries"),
    };
    // Lines that were given up stand in no count.
    all_read && all_through && stop.reason() != Some(Reason::CantWrite)
}

/// What is done with each line.
struct OneLine<T> {
    transport: T,
    watched: Watched,
    entries: mpsc::Sender<Entry>,
}

impl<T: Transport> OneLine<T> {
    // Says whether the line is through; it isn't where the run ended before it was sent.
    async fn work(
        self: Arc<Self>,
        due: Due,
        place: u64,
        room: OwnedSemaphorePermit,
        turn: OwnedSemaphorePermit,
    ) -> bool {
        let Watched {
            stats,
            stop,
            progress,
        } = &self.watched;
        let (text, succeeded) = match due.job {
            Err(malformed) => {
                let message = format!("line {}: {}", due.number, malformed.why);
                progress.report(&message);
                (
                    record::failure(&malformed.shown, &[Trouble::new(message)], None),
                    false,
                )
            }
            Ok(job) => {
                let wire = Wire::new(stats);
                let Some(outcome) = stop.or(&wire, self.transport.send(&job, &wire)).await else {
                    return false;
                };
                let metadata = job.metadata.as_deref();
                match outcome {
                    Ok(answer) => (record::success(job.text(), &answer.body, metadata), true),
                    Err(failure) => {
                        if let Some(reason) = failure.stop {
                            stop.finish(reason);
                        }
                        if failure.stop == Some(Reason::ProviderDown) {
                            // It is for a later run.
                            return false;
                        }
                        (
                            record::failure(job.text(), &failure.troubles, metadata),
                            false,
                        )
                    }
                }
            }
        };
        drop(turn);
        let entry = Entry {
            place,
            line: text,
            room: Some(room),
        };
        if self.entries.send(entry).await.is_err() {
            // The writer is gone, for it couldn't write.
            stop.at_once(Reason::CantWrite);
            return false;
        }
        let counter = if succeeded {
            &stats.succeeded
        } else {
            &stats.failed
        };
        counter.fetch_add(1, Relaxed);
        stats.bytes.fetch_add(due.bytes, Relaxed);
        stats.worked.fetch_add(due.bytes, Relaxed);
        true
    }
}

impl<T> OneLine<T> {
    fn ended(&self, ended: Result<bool, tokio::task::JoinError>) -> bool {
        match ended {
            Ok(through) => through,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
