//! HTTP on a free port, with the faults of [`crate::hooks`].

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;

use crate::hooks::{Call, Fault, Hooks};

/// A service as this module sees it.
pub(crate) trait Service: Send + Sync + 'static {
    /// What a request asks for. `None`: that is known only with the body, which comes in a second call.
    fn call(&self, head: &Parts, body: Option<&[u8]>) -> Option<Call>;

    /// Does what is asked.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>> + Send;

    /// The body of an error.
    fn error(&self, code: &str) -> String;
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) hooks: Arc<Hooks>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start(address: IpAddr, service: impl Service) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let hooks = Arc::new(Hooks::default());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (service, shared) = (Arc::new(service), Arc::clone(&hooks));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (service, hooks) = (Arc::clone(&service), Arc::clone(&shared));
                tokio::spawn(async move {
                    let handle = service_fn(|request| handle(&*service, &hooks, request));
                    // Connections that are cut end with an error; that is the purpose.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), handle)
                        .await;
                });
            }
        });
        Self { address, hooks, runtime: Some(runtime) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An error makes hyper close the connection without an answer.
async fn handle(
    service: &impl Service,
    hooks: &Hooks,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, io::Error> {
    let (head, mut incoming) = request.into_parts();
    let mut fault = service.call(&head, None).map(|call| hooks.note(call));
    if let Some(Some(Fault::CutRequest(limit))) = fault {
        read(&mut incoming, limit).await?;
        return Err(cut());
    }
    let body = read(&mut incoming, usize::MAX).await?;
    if fault.is_none() {
        fault = service.call(&head, Some(&body)).map(|call| hooks.note(call));
    }
    let fault = fault.flatten();
    match &fault {
        Some(Fault::Refuse { status, code }) => {
            let answer = Response::builder()
                .status(*status)
                .header("content-type", "application/xml")
                .body(AnswerBody::whole(service.error(code).into()));
            return answer.map_err(io::Error::other);
        }
        Some(Fault::CutRequest(_)) => return Err(cut()),
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        Some(Fault::PauseBefore(gate)) => gate.pass().await,
        _ => {}
    }
    let answer = service.answer(Request::from_parts(head, body)).await;
    match fault {
        Some(Fault::LoseAnswer) => Err(cut()),
        Some(Fault::CutAnswer(limit)) => Ok(answer.map(|bytes| AnswerBody::cut(bytes, limit))),
        Some(Fault::PauseAfter(gate)) => {
            gate.pass().await;
            Ok(answer.map(AnswerBody::whole))
        }
        _ => Ok(answer.map(AnswerBody::whole)),
    }
}

async fn read(body: &mut Incoming, limit: usize) -> Result<Bytes, io::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.into())
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the test cuts this connection")
}

/// The body of an answer: all of it, or a part and then the end of the connection.
struct AnswerBody {
    bytes: Option<Bytes>,
    /// The length that was announced.
    length: u64,
    ending: Ending,
}

enum Ending {
    Whole,
    /// What came before is sent first.
    Flush,
    Cut,
}

impl AnswerBody {
    fn whole(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, bytes: Some(bytes), ending: Ending::Whole }
    }

    fn cut(bytes: Bytes, limit: usize) -> Self {
        let length = bytes.len() as u64;
        Self { length, bytes: Some(bytes.slice(..limit.min(bytes.len()))), ending: Ending::Flush }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(bytes) = self.bytes.take()
            && !bytes.is_empty()
        {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.ending {
            Ending::Whole => Poll::Ready(None),
            Ending::Flush => {
                self.ending = Ending::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::Cut => Poll::Ready(Some(Err(cut()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.ending, Ending::Whole) && self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// All of a body that is in memory already.
pub(crate) async fn collect<B>(body: B) -> Bytes
where
    B: Body,
{
    body.collect().await.map(|whole| whole.to_bytes()).unwrap_or_default()
}

/// What the percent signs of a URL stand for.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) if plus_is_space => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
