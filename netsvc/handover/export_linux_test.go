package handover

// SetTrayBytes makes trays smaller until restore is called.
func SetTrayBytes(n int) (restore func()) {
	before := trayBytes
	trayBytes = n
	return func() { trayBytes = before }
}

// MaxMessage is maxMessage, MaxFiles maxFiles.
const (
	MaxMessage = maxMessage
	MaxFiles   = maxFiles
)
