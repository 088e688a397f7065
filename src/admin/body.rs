//! Bodies of requests to the admin API.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::answer::problem;

/// The whole body, or the answer to one that cannot be had.
pub(super) async fn whole(body: Body, most: usize, limit: Duration) -> Result<Bytes, Response> {
    match timeout(limit, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("the body may have {most} bytes");
            Err(problem(StatusCode::PAYLOAD_TOO_LARGE, &detail))
        }
        Ok(Err(_)) => Err(problem(StatusCode::BAD_REQUEST, "the body was cut off")),
        Err(_) => Err(problem(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive",
        )),
    }
}
