package hub

import (
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch waits for what resting sessions send, all of them in one epoll instance
// and one goroutine. A goroutine for each would be more than half of the memory
// that an idle session takes. That an instance has something, package net's own
// poller notices: it is a descriptor like others.
type watch struct {
	hub   *Hub
	epoll *os.File // nil: there is none, and each session has its goroutine
	raw   syscall.RawConn
}

func newWatch(h *Hub) *watch {
	w := &watch{hub: h}
	if err := w.open(); err != nil {
		h.logger.Warn("idle sessions need a goroutine each", slog.String("error", err.Error()))
	}
	return w
}

// start has the watch tell of what sessions send, until stop.
func (w *watch) start() {
	if w.epoll != nil {
		w.epoll.SetReadDeadline(time.Time{})
		w.hub.goroutines.Go(w.run)
	}
}

func (w *watch) open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("making an epoll instance: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for os.NewFile
		unix.Close(fd)
		return fmt.Errorf("making an epoll instance: %w", err)
	}
	epoll := os.NewFile(uintptr(fd), "epoll")
	raw, err := epoll.SyscallConn()
	if err == nil {
		err = epoll.SetReadDeadline(time.Time{}) // an error: it cannot be waited for
	}
	if err != nil {
		epoll.Close()
		return fmt.Errorf("waiting for an epoll instance: %w", err)
	}
	w.epoll, w.raw = epoll, raw
	return nil
}

// await has the session rest: until it sends something or ends, or is closed here,
// it needs no goroutine. It reports false if it cannot. Only whoever goes on
// with the session calls it.
func (w *watch) await(s *session) bool {
	if w.epoll == nil || s.raw == nil {
		return false
	}
	if !s.rests() {
		return false
	}
	// The event carries the session's id: a descriptor might be another's by then.
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(s.id),
		Pad: int32(s.id >> 32)}
	var err error = unix.EBADF
	w.raw.Control(func(epoll uintptr) {
		s.raw.Control(func(fd uintptr) {
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &e)
			if err == unix.EEXIST { // it rested before
				err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, int(fd), &e)
			}
		})
	})
	// If it failed, whoever closed the session meanwhile has woken it and goes on
	// with it; else nobody has.
	return err == nil || !s.wake()
}

// rests notes that a session has no goroutine and watch waits for it. It reports false if
// the session has ended: then somebody has to see to that.
func (s *session) rests() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resting = s.closed == "" && s.out.state != outDetached
	return s.resting
}

func (w *watch) run() {
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		stopped := w.raw.Read(func(epoll uintptr) bool {
			for n = -1; n < 0; { // it fails with EINTR only
				n, _ = unix.EpollWait(int(epoll), events, 0)
			}
			return n > 0
		})
		if stopped != nil { // by stop
			return
		}
		for _, e := range events[:n] {
			w.hub.wakeSession(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
		}
	}
}

// wakeSession gives a resting session a goroutine, unless it rests no more or the
// hub has frozen.
func (h *Hub) wakeSession(id uint64) {
	h.mu.Lock()
	s := h.sessions[id]
	h.mu.Unlock()
	// Not while TakeBack goes on with the sessions one by one: with this one, too.
	h.changing.RLock()
	defer h.changing.RUnlock()
	if s == nil || h.frozen.Load() || !s.wake() {
		return
	}
	h.goroutines.Go(func() { h.attend(s, nil) })
}

// stop ends the goroutine. Sessions stay with the instance: to close it takes the system
// some 10 µs for each of them, which nobody has time for at a hand-over.
func (w *watch) stop() {
	if w.epoll != nil {
		w.epoll.SetReadDeadline(past)
	}
}

// close is for a watch that was stopped for good.
func (w *watch) close() {
	if w.epoll != nil {
		w.epoll.Close()
	}
}
