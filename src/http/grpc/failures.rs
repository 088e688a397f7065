//! Which statuses are a failure, and to whom: each of those who ask does something else about it.

use super::Status;

impl Status {
    /// Whether it blames the endpoint, for outlier detection: UNKNOWN, INTERNAL, UNAVAILABLE and DATA_LOSS. The others
    /// speak of the request, and DEADLINE_EXCEEDED of a time that may be one caller's own: nobody is to have an endpoint
    /// ejected for all others.
    pub fn blames_endpoint(self) -> bool {
        let blaming = [
            Status::UNKNOWN,
            Status::INTERNAL,
            Status::UNAVAILABLE,
            Status::DATA_LOSS,
        ];
        blaming.contains(&self)
    }

    /// Whether it speaks of a server in trouble, for circuit breakers: the same, and DEADLINE_EXCEEDED. A breaker knows
    /// whose time has passed, and leaves that of a caller out.
    pub fn blames_upstream(self) -> bool {
        self.blames_endpoint() || self == Status::DEADLINE_EXCEEDED
    }

    /// Whether an endpoint that is well may be quick to say so because it does nothing, for balancing: RESOURCE_EXHAUSTED,
    /// as 429 is.
    pub fn refuses_load(self) -> bool {
        self == Status::RESOURCE_EXHAUSTED
    }

    /// Whether a new token may help: UNAUTHENTICATED, as 401. PERMISSION_DENIED, as 403, would be the same with any.
    pub fn refuses_credentials(self) -> bool {
        self == Status::UNAUTHENTICATED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_failures() {
        let all = |question: fn(Status) -> bool| {
            let statuses =
                (0..=16).filter_map(|code: u8| Status::read(code.to_string().as_bytes()));
            let found = statuses.filter(|status| question(*status));
            found.map(Status::code).collect::<Vec<_>>()
        };
        assert_eq!(all(Status::blames_endpoint), [2, 13, 14, 15]);
        assert_eq!(all(Status::blames_upstream), [2, 4, 13, 14, 15]);
        assert_eq!(all(Status::refuses_load), [8]);
        assert_eq!(all(Status::refuses_credentials), [16]);
    }
}
