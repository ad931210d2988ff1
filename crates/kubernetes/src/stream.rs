//! What a leader and a worker that takes more than one job tell each other, through the API server: standard input and
//! output of the pod (`pods/attach`). Attaches again where it was cut.

use kube::api::AttachParams;
use moil_job::frames::{self, Answer, Leader, Order};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use crate::cluster::{self, Cluster};
use crate::manifest::CONTAINER;

/// How often the leader says that it lives.
const SIGN: Duration = Duration::from_secs(10);

/// After how long without a line of the worker the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(45);

/// How long attaching may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The longest line of a worker, in bytes: those of tools have no limit, and what is longer is none of ours.
const LONGEST_LINE: usize = 64 << 20;

/// For how long a server may refuse to attach to a worker that was never attached to.
const NEVER: Duration = Duration::from_secs(60);

/// What is heard.
#[derive(Debug)]
pub enum Heard {
    /// The connection is there, perhaps anew.
    Attached,
    /// The worker's answer.
    Answer(Answer),
    /// The leader may not attach, or cannot, in the server's words.
    Forbidden(String),
    /// This pod could not be attached to for long, in the server's words.
    Unreachable(String),
}

/// Talks to a pod until nobody gives orders any more, or the pod is gone. Each connection begins with `hello`.
pub async fn talk(
    cluster: Cluster,
    pod: String,
    leader: Leader,
    hello: Order,
    mut orders: UnboundedReceiver<Order>,
    hear: impl Fn(Heard) + Send + 'static,
) {
    let mut pause = Duration::from_millis(100);
    let (began, mut was_attached) = (Instant::now(), false);
    loop {
        let parameters = AttachParams::default().container(CONTAINER).stdin(true).stdout(true).stderr(false);
        match timeout(PATIENCE, cluster.pods().attach(&pod, &parameters)).await {
            Ok(Ok(mut process)) => {
                if let (Some(input), Some(output)) = (process.stdin(), process.stdout()) {
                    was_attached = true;
                    hear(Heard::Attached);
                    let mut link = Link {
                        leader: &leader,
                        input,
                        output: BufReader::new(output),
                        heard: Instant::now(),
                    };
                    match link.talk(&hello, &mut orders, &hear).await {
                        End::NoOrders => return,
                        End::Cut(was_good) if was_good => pause = Duration::from_millis(100),
                        End::Cut(_) => {}
                    }
                }
                process.abort();
            }
            Ok(Err(error)) if cluster::is_gone(&error) => return,
            Ok(Err(error)) => {
                if cluster::attach_refused(&error) {
                    return hear(Heard::Forbidden(error.to_string()));
                }
                // Where the server itself cannot be reached, nothing is known of the pod.
                if !was_attached && began.elapsed() > NEVER && cluster::is_answer(&error) {
                    return hear(Heard::Unreachable(error.to_string()));
                }
            }
            Err(_) if !was_attached && began.elapsed() > NEVER => {
                return hear(Heard::Unreachable("nothing answers".to_owned()));
            }
            Err(_) => {}
        }
        // Meanwhile somebody may have lost interest.
        if orders.is_closed() {
            return;
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Why a connection is over.
enum End {
    /// Nobody gives orders any more.
    NoOrders,
    /// It was cut; whether the worker had said anything.
    Cut(bool),
}

/// One connection.
struct Link<'a, I, O> {
    leader: &'a Leader,
    input: I,
    output: O,
    heard: Instant,
}

impl<I: tokio::io::AsyncWrite + Unpin, O: AsyncBufRead + Unpin> Link<'_, I, O> {
    async fn talk(
        &mut self,
        hello: &Order,
        orders: &mut UnboundedReceiver<Order>,
        hear: &impl Fn(Heard),
    ) -> End {
        let mut was_good = false;
        // What a connection that was cut has left of a line ends here.
        if !(self.write(b"\n").await && self.tell(hello).await) {
            return End::Cut(was_good);
        }
        let (mut line, mut next_sign) = (Vec::new(), Instant::now() + SIGN);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return End::NoOrders,
                    Some(order) => if !self.tell(&order).await {
                        return End::Cut(was_good);
                    },
                },
                // It keeps what it has read in `line` when another branch is faster.
                read = self.output.read_until(b'\n', &mut line) => {
                    if !matches!(read, Ok(length) if length > 0) {
                        return End::Cut(was_good);
                    }
                    if let Some(answer) = frames::read_answer(&line, &self.leader.mark) {
                        (self.heard, was_good) = (Instant::now(), true);
                        hear(Heard::Answer(answer));
                    }
                    line.clear();
                }
                () = sleep_until(next_sign) => {
                    if self.heard.elapsed() > SILENCE || line.len() > LONGEST_LINE || !self.tell(&Order::Alive).await {
                        return End::Cut(was_good);
                    }
                    next_sign = Instant::now() + SIGN;
                }
            }
        }
    }

    /// Says whether it could be written.
    async fn tell(&mut self, order: &Order) -> bool {
        self.write(frames::write_order(self.leader, order).as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        let write = async {
            self.input.write_all(bytes).await?;
            self.input.flush().await
        };
        matches!(timeout(PATIENCE, write).await, Ok(Ok(())))
    }
}
