// Package notify tells the world outside of what happens: by the programs that a
// configuration names (notify_master, notify_up, quorum_down and the like), by lines in FIFOs,
// and by mails. It reads the stream of events and waits for none of them: programs, FIFOs and
// the mail relay have bounded queues of their own, so that none of them delays a verdict, an
// election or another of them.
package notify

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weir/conf"
	"weir/internal/cluster"
	"weir/internal/script"
)

// Notifier tells of events by one configuration after the other.
type Notifier struct {
	log     *slog.Logger
	scripts *scripts
	fifos   *fifos
	mails   *mailer

	mu        sync.Mutex // guards what follows
	cfg       *conf.Config
	begun     bool
	services  map[string]*service
	instances map[string]*instance
	groups    map[string]*group
	// order are the names of services, instances and groups in the order of the file.
	order struct{ services, instances, groups []string }
}

// stopWithin is how long programs and mails that tell of the end may take altogether.
const stopWithin = time.Second

// New makes a Notifier that tells by this configuration. The log gets what could not be told.
func New(cfg *conf.Config, log *slog.Logger) *Notifier {
	n := &Notifier{log: log, scripts: newScripts(log), mails: newMailer(log)}
	n.fifos = newFIFOs(n.scripts, log)
	n.take(cfg)
	return n
}

// Set has it tell by another configuration, whose services and instances are in force. What
// the change itself is worth telling (an instance deleted, a server removed) is told. Any
// goroutine may call it.
func (n *Notifier) Set(cfg *conf.Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	was := n.subjects()
	n.take(cfg)
	if !n.begun {
		return
	}
	n.fifos.set(cfg)
	n.tellRemoved(was)
	n.tellPriorities(was)
	n.repeatStates()
	n.beginServices(was.services)
}

// subjects are those of a configuration.
type subjects struct {
	order     []string
	vrrpOrder []string
	services  map[string]*service
	instances map[string]*instance
}

func (n *Notifier) subjects() subjects {
	return subjects{n.order.services, n.order.instances, n.services, n.instances}
}

// take takes a configuration up: subjects that stay keep what is known of them.
func (n *Notifier) take(cfg *conf.Config) {
	n.cfg = cfg
	n.scripts.rules.Store(script.RulesOf(&cfg.Global))
	n.mails.set(&cfg.Global)
	n.takeServices(cfg)
	n.takeInstances(cfg)
}

// Run tells of the events of a stream until ctx ends. Then it tells of those that have
// happened by then, and of the end, for which it takes no longer than a second.
func (n *Notifier) Run(ctx context.Context, events *cluster.Subscription) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	n.scripts.start(work)
	defer n.fifos.close()
	mailing := make(chan struct{})
	go func() {
		defer close(mailing)
		n.mails.run(work)
	}()
	for {
		e, missed, err := events.Next(ctx)
		if err != nil {
			break
		}
		n.missed(missed)
		n.handle(e)
	}
	for {
		e, _, ok := events.Held()
		if !ok {
			break
		}
		n.handle(e)
	}
	n.stop()
	stop()
	<-mailing
	return nil
}

// missed says that events came faster than they could be told.
func (n *Notifier) missed(count uint64) {
	if count > 0 {
		n.log.Warn("events came too fast: they are told by no program, FIFO or mail", "events", count)
	}
}

// handle tells of one event.
func (n *Notifier) handle(e cluster.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e.Kind {
	case cluster.Began:
		n.begin()
	case cluster.RealServerUp, cluster.RealServerDown:
		n.serverChanged(e)
	case cluster.CheckChanged:
		n.checkChanged(e)
	case cluster.FirstCheckFailed:
		n.firstCheckFailed(e)
	case cluster.RealServerWeight:
		n.weightChanged(e)
	case cluster.QuorumGained, cluster.QuorumLost:
		n.quorumChanged(e)
	case cluster.VRRPState:
		n.fifos.set(n.cfg) // an instance may begin before the director says that it runs
		n.stateChanged(e)
	case cluster.PriorityChanged:
		n.priorityChanged(e)
	case cluster.LowerMaster:
		n.lowerMaster(e)
	}
}

// begin tells how everything begins, once the director runs.
func (n *Notifier) begin() {
	n.begun = true
	n.fifos.set(n.cfg)
	n.beginServices(nil)
}

// stop tells of the end.
func (n *Notifier) stop() {
	n.mu.Lock()
	begun := n.begun
	n.begun = false
	if begun {
		n.scripts.stopping()
		n.stopInstances()
		n.stopServices()
	}
	n.mu.Unlock()
	if !begun {
		return
	}
	over := time.After(stopWithin)
	for _, done := range []<-chan struct{}{n.scripts.idle(), n.mails.idle()} {
		select {
		case <-done:
		case <-over:
			return
		}
	}
}

// occasion is one thing to tell, in keepalived's order: programs, the line, the mail.
type occasion struct {
	// subject is whose programs run one after the other.
	subject string
	scripts []command
	line    string
	kind    fifoKind
	mail    *mail
}

// command is a program with the words that are added to its own.
type command struct {
	conf.Script
	more []string
}

// tell hands an occasion to all who tell it. It does not wait for any of them.
func (n *Notifier) tell(o occasion) {
	for _, c := range o.scripts {
		if c.Command != "" {
			n.scripts.add(o.subject, c)
		}
	}
	if o.line != "" {
		n.fifos.write(o.kind, o.line)
	}
	if o.mail != nil {
		n.mails.add(*o.mail)
	}
}
