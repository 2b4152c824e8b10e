package control

// Codes of Error.
const (
	CodeAppNotFound      = "app_not_found"
	CodeSessionNotFound  = "session_not_found"
	CodeBadRequest       = "bad_request"
	CodeBadTitle         = "bad_title"
	CodeBadGrace         = "bad_grace"
	CodeTooManyKeys      = "too_many_keys"
	CodeTooLarge         = "too_large"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeMethodNotAllowed = "method_not_allowed"
	CodeBadSettings      = "bad_settings"
	CodeTooManyFollowers = "too_many_followers"
	CodeCannotUpgrade    = "cannot_upgrade"
	CodeNotStored        = "not_stored"
	CodeInternal         = "internal"
)

// Error is a refusal: its HTTP status, a stable code, and what is wrong, in
// English.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// ErrorBody is how an Error travels.
type ErrorBody struct {
	Error *Error `json:"error"`
}
