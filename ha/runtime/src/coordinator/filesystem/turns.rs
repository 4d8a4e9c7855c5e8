//! Whose turn it is to use the store.
//!
//! The operations of one process wait for each other in a queue with one thread, which enters the
//! store for them. Processes wait for each other in the queue of the kernel for `queue.lck`, so
//! that nobody starves, however many there are; the first of them then takes `data.lck`, which
//! originals take too, and which they do not queue for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::inside::Inside;
use super::tree::Tree;
use super::{Error, gone};

/// How long an operation waits for its turn: behind others of its process and other processes. Far
/// more than contention costs, so who waits that long waits for one that is stuck.
const TURN_WAIT_MAX: Duration = Duration::from_secs(60);
/// How many operations of one process may wait; the next ones wait to wait.
const WAITING_MAX: usize = 1024;

/// The queue of one process.
#[derive(Debug)]
pub struct Turns {
    tree: Arc<Tree>,
    jobs: mpsc::Sender<Job>,
}

/// What is done inside the store, or told why it could not be entered.
type Run = Box<dyn FnOnce(Result<Inside<'_>, Error>) + Send>;

struct Job {
    /// Set by the caller who gives up, or by the thread that begins, whoever is first.
    claimed: Arc<AtomicBool>,
    run: Run,
}

impl Turns {
    /// Starts the thread, which ends when this is dropped.
    pub fn start(tree: Tree) -> std::io::Result<Self> {
        let tree = Arc::new(tree);
        let (jobs, mut waiting) = mpsc::channel::<Job>(WAITING_MAX);
        let theirs = tree.clone();
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(job) = waiting.blocking_recv() {
                    if job.claimed.load(Ordering::Relaxed) {
                        continue;
                    }
                    let entered = theirs.enter();
                    if !job.claimed.swap(true, Ordering::Relaxed) {
                        (job.run)(entered);
                    }
                }
            })?;
        Ok(Self { tree, jobs })
    }

    pub fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    /// Runs `operation` while nobody else uses the store.
    pub async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Inside<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, mut answered) = oneshot::channel();
        let claimed = Arc::new(AtomicBool::new(false));
        let job = Job {
            claimed: claimed.clone(),
            run: Box::new(move |entered| {
                let _ = answer.send(entered.and_then(|inside| operation(&inside)));
            }),
        };
        let turn = async {
            self.jobs.send(job).await.map_err(|_| gone())?;
            (&mut answered).await.map_err(|_| gone())?
        };
        match tokio::time::timeout(TURN_WAIT_MAX, turn).await {
            Ok(outcome) => outcome,
            // It has not begun, and will not.
            Err(_) if !claimed.swap(true, Ordering::Relaxed) => Err(self.tree.busy(TURN_WAIT_MAX)),
            Err(_) => answered.await.map_err(|_| gone())?,
        }
    }

    /// The same from a destructor: waits at most `wait_max`, and the operation is run in its turn
    /// after that.
    pub fn run_soon(
        &self,
        wait_max: Duration,
        operation: impl FnOnce(&Inside<'_>) + Send + 'static,
    ) {
        let (tell, done) = blocking::sync_channel(1);
        let job = Job {
            claimed: Arc::default(),
            run: Box::new(move |entered| {
                match entered {
                    Ok(inside) => operation(&inside),
                    Err(error) => tracing::warn!(%error, "a dropped lock leaves its record behind"),
                }
                let _ = tell.send(());
            }),
        };
        match self.jobs.try_send(job) {
            Ok(()) => drop(done.recv_timeout(wait_max)),
            Err(error) => tracing::warn!(%error, "a dropped lock leaves its record behind"),
        }
    }
}
