package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
)

const (
	// firstBody holds nearly every message; a larger buffer is made only when
	// so many bytes have arrived.
	firstBody = 8 << 10
	// keptBody is the largest buffer that is kept for another request.
	keptBody = 128 << 10
)

// bodyPool lends buffers for bodies. Its zero value is ready.
type bodyPool struct{ pool sync.Pool }

func (p *bodyPool) get() *[]byte {
	if buffer, ok := p.pool.Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, 0, firstBody)
	return &buffer
}

// put takes a buffer back. Nothing may refer to its memory any more.
func (p *bodyPool) put(buffer *[]byte) {
	if cap(*buffer) > keptBody {
		return
	}
	*buffer = (*buffer)[:0]
	p.pool.Put(buffer)
}

// readBody reads a body of at most limits.MaxMessageBytes into the buffer. It
// grows with the bytes received, not with the length announced.
func readBody(body io.Reader, buffer *[]byte, limits *Limits) refusal {
	b := (*buffer)[:0]
	defer func() { *buffer = b }()
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case int64(len(b)) > limits.MaxMessageBytes:
			return tooLarge(limits)
		case errors.Is(err, io.EOF):
			return refusal{}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return refusal{status: http.StatusRequestTimeout, reason: ReasonSlowBody,
				text: "the body took too long to arrive"}
		case err != nil:
			// The cause may quote what it could not parse.
			return refusal{status: http.StatusBadRequest, reason: ReasonBrokenBody,
				text: "the body ended early, or its chunks are malformed"}
		}
	}
}

func tooLarge(limits *Limits) refusal {
	return refusal{status: http.StatusRequestEntityTooLarge, reason: ReasonTooLarge,
		text: fmt.Sprintf("the body is larger than %d bytes", limits.MaxMessageBytes)}
}
