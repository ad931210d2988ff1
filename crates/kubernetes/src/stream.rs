//! What a leader and a worker that takes more than one job tell each other, through the API server: standard input and
//! output of the pod (`pods/attach`). Attaches again where it was cut.

use std::pin::pin;

use kube::api::AttachParams;
use moil_job::frames::{self, Answer, Leader, Order};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};

use crate::cluster::{self, Cluster};
use crate::manifest::CONTAINER;

/// How often the leader says that it lives.
const SIGN: Duration = Duration::from_secs(10);

/// After how long without a line of the worker the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(45);

/// How long attaching may take, and the connection may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Orders are not taken while so many bytes of those before are not sent.
const UNSENT: usize = 64 << 10;

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
                    let link = Link::new(&leader, input, BufReader::new(output));
                    let over = process.take_status();
                    let is_lost = async {
                        match over {
                            Some(over) => over.await.is_none(),
                            None => false,
                        }
                    };
                    match link.talk(&hello, &mut orders, &hear, is_lost).await {
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

/// One connection. It is read and written at the same time: who writes takes nothing as long as what it has to say is not
/// taken, so that two who only wrote would wait for one another.
struct Link<'a, I, O> {
    leader: &'a Leader,
    input: I,
    output: O,
    /// What is not written yet.
    unsent: Vec<u8>,
    /// When something was heard last.
    heard: Instant,
    /// When something was written last, or there was nothing to be written.
    took: Instant,
}

impl<'a, I: AsyncWrite + Unpin, O: AsyncBufRead + Unpin> Link<'a, I, O> {
    fn new(leader: &'a Leader, input: I, output: O) -> Self {
        let now = Instant::now();
        Self { leader, input, output, unsent: Vec::new(), heard: now, took: now }
    }

    async fn talk(
        mut self,
        hello: &Order,
        orders: &mut UnboundedReceiver<Order>,
        hear: &impl Fn(Heard),
        is_lost: impl Future<Output = bool>,
    ) -> End {
        let mut is_lost = pin!(is_lost);
        let (mut was_good, mut is_over) = (false, false);
        // What a connection that was cut has left of a line ends here.
        self.unsent.push(b'\n');
        self.tell(hello);
        let (mut line, mut next_sign) = (Vec::new(), Instant::now() + SIGN);
        let mut is_last = false;
        loop {
            if is_last && self.unsent.is_empty() {
                return End::NoOrders;
            }
            tokio::select! {
                order = orders.recv(), if self.unsent.len() < UNSENT && !is_last => match order {
                    None => is_last = true,
                    Some(order) => self.tell(&order),
                },
                // Nothing is written when another branch is faster.
                written = self.input.write(&self.unsent), if !self.unsent.is_empty() => match written {
                    Ok(length) if length > 0 => {
                        self.unsent.drain(..length);
                        self.took = Instant::now();
                    }
                    _ => return End::Cut(was_good),
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
                // A connection that breaks says nothing on its streams; one that is closed says so when all was read.
                is_lost = &mut is_lost, if !is_over => match is_lost {
                    true => return End::Cut(was_good),
                    false => is_over = true,
                },
                () = sleep_until(next_sign) => {
                    let is_stuck = !self.unsent.is_empty() && self.took.elapsed() > PATIENCE;
                    if is_stuck || self.heard.elapsed() > SILENCE || line.len() > LONGEST_LINE {
                        return End::Cut(was_good);
                    }
                    self.tell(&Order::Alive);
                    next_sign = Instant::now() + SIGN;
                }
            }
        }
    }

    /// What is said is on its way as soon as the connection takes it.
    fn tell(&mut self, order: &Order) {
        if self.unsent.is_empty() {
            self.took = Instant::now();
        }
        self.unsent.extend_from_slice(frames::write_order(self.leader, order).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    /// Both have more to say than the connection holds, and the worker's side takes nothing before all it says is taken.
    #[test]
    fn who_speaks_listens() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let (leader, mark) = (Leader { term: "1-a".into(), mark: "m".into() }, "m");
            let ((input, mut taken), (mut said, output)) = (duplex(1024), duplex(1024));
            let worker = tokio::spawn(async move {
                for number in 0..200 {
                    let answer = Answer::ToolEnded { word: format!("{number}-{}", "x".repeat(500)).into() };
                    said.write_all(frames::write_answer(mark, &answer).as_bytes())
                        .await
                        .expect("it is taken");
                }
                let mut heard = String::new();
                taken.read_to_string(&mut heard).await.expect("it is text");
                drop(said);
                heard
            });
            let (give, mut orders) = unbounded_channel();
            for number in 0..200 {
                let word = format!("{number}-{}", "y".repeat(500)).into();
                give.send(Order::Cancel { word }).expect("it is taken");
            }
            let (tell, mut told) = unbounded_channel();
            let answered = tokio::spawn(async move {
                let mut count = 0;
                while count < 200 && told.recv().await.is_some() {
                    count += 1;
                }
                drop(give);
                count
            });
            let link = Link::new(&leader, input, BufReader::new(output));
            let end = link.talk(&Order::Alive, &mut orders, &|heard| drop(tell.send(heard)), pending()).await;
            assert!(matches!(end, End::NoOrders), "it was cut: each waited for the other");
            assert_eq!(answered.await.expect("it ends"), 200);
            let heard = worker.await.expect("it ends");
            let words = heard.lines().filter(|line| line.contains("yyy"));
            assert_eq!(words.count(), 200, "what was said last is said, too");
        });
    }

    /// kube's side of a stream that breaks ends without a word on the stream.
    #[test]
    fn a_connection_that_breaks_is_cut_at_once_and_one_that_is_closed_when_all_was_read() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let leader = Leader { term: "1-a".into(), mark: "m".into() };
            for is_lost in [true, false] {
                let ((input, _taken), (mut said, output)) = (duplex(1024), duplex(1024));
                let (_give, mut orders) = unbounded_channel();
                let (tell, mut told) = unbounded_channel();
                let link = Link::new(&leader, input, BufReader::new(output));
                let hear = |heard| drop(tell.send(heard));
                let talk = link.talk(&Order::Alive, &mut orders, &hear, async { is_lost });
                let rest = async {
                    if is_lost {
                        return pending().await;
                    }
                    tokio::task::yield_now().await;
                    let answer = frames::write_answer("m", &Answer::Rests);
                    said.write_all(answer.as_bytes()).await.expect("it is taken");
                    drop(said);
                    pending().await
                };
                let end = tokio::select! {
                    end = talk => end,
                    () = rest => unreachable!("it is pending"),
                };
                assert!(matches!(end, End::Cut(was_good) if was_good != is_lost));
                assert_eq!(told.try_recv().is_ok(), !is_lost);
            }
        });
    }
}
