package httpapi

import "sync"

// onceByApp lets something be done once for each app. Its zero value is ready; it
// grows with the number of apps that there have been.
type onceByApp struct{ done sync.Map }

// once does it unless it was done for that app.
func (o *onceByApp) once(app string, do func()) {
	if _, was := o.done.Load(app); was {
		return
	}
	if _, was := o.done.LoadOrStore(app, struct{}{}); !was {
		do()
	}
}
