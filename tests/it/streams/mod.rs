//! Streams: errors in them, the usage in them, and what a request holds while they last.

mod holding;
mod layers;
mod peek;
mod real_time;
mod throughput;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tower::{BoxError, service_fn};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, &'static str>>;

pub(crate) const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n";
pub(crate) const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const HELLO: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
pub(crate) const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":20,\"total_tokens\":50}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";
pub(crate) const KEEP_ALIVE: &str = ": keep-alive\n\n";
pub(crate) const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
pub(crate) const LIMITED: &str = "event: error\ndata: {\"error\":{\"message\":\"Rate limit reached. Please try again in 2s.\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}\n\n";
pub(crate) const INVALID: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}\n\n";

/// A step of an answer's body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Data(&'static str),
    Wait(Duration),
    Trailers(&'static str, &'static str),
    Break,
    Hang,
    /// Keep-alives, one a second, without end.
    KeepAlives,
}
use Step::*;

fn steps(steps: Vec<Step>) -> impl Stream<Item = Result<Frame<Bytes>, &'static str>> {
    let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    stream::iter(steps).flat_map(move |step| match step {
        Data(text) => stream::iter([data(text)]).boxed(),
        Wait(wait) => tokio::time::sleep(wait)
            .into_stream()
            .filter_map(async |()| None)
            .boxed(),
        Trailers(name, value) => {
            let mut trailers = HeaderMap::new();
            trailers.insert(name, value.parse().unwrap());
            stream::iter([Ok(Frame::trailers(trailers))]).boxed()
        }
        Break => stream::iter([Err("reset")]).boxed(),
        Hang => stream::pending().boxed(),
        KeepAlives => stream::repeat(())
            .then(|()| tokio::time::sleep(Duration::from_secs(1)))
            .map(move |()| data(KEEP_ALIVE))
            .boxed(),
    })
}

pub(crate) fn answer(content_type: &str, body: &[Step]) -> Answer {
    let body = StreamBody::new(steps(body.to_vec()));
    Response::builder()
        .header("content-type", content_type)
        .body(BodyExt::boxed_unsync(body))
        .unwrap()
}

pub(crate) fn events(body: &[Step]) -> Answer {
    answer("text/event-stream; charset=utf-8", body)
}

/// Answers with the streams in turn, and counts.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Mutex<(usize, Vec<Vec<Step>>)>>);

impl Provider {
    pub(crate) fn new(answers: &[&[Step]]) -> Self {
        let answers = answers.iter().map(|steps| steps.to_vec()).collect();
        Self(Arc::new(Mutex::new((0, answers))))
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().0
    }

    fn next(&self) -> Answer {
        let mut state = self.0.lock().unwrap();
        let (calls, answers) = &mut *state;
        *calls += 1;
        events(&answers[(*calls).min(answers.len()) - 1])
    }

    pub(crate) fn service(
        &self,
    ) -> impl tower::Service<
        Request<Full<Bytes>>,
        Response = Answer,
        Error = Infallible,
        Future = BoxFuture<'static, Result<Answer, Infallible>>,
    > + Clone
    + use<> {
        let provider = self.clone();
        service_fn(move |_| {
            let provider = provider.clone();
            async move { Ok(provider.next()) }.boxed()
        })
    }
}

/// The text of a body, up to where it breaks.
pub(crate) async fn text<B>(body: B) -> Result<String, (String, BoxError)>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let mut body = Box::pin(body);
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap_or_default();
                text.push_str(std::str::from_utf8(&data).unwrap());
            }
            Err(error) => return Err((text, error.into())),
        }
    }
    Ok(text)
}
