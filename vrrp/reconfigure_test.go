package vrrp

import (
	"testing"
	"time"
)

// reconfigure changes the instance's configuration.
func reconfigure(change func(*Config)) func(*node) {
	return func(n *node) {
		cfg := testConfig()
		change(&cfg)
		n.Reconfigure(cfg, nil, nil)
	}
}

func priority(p uint8) func(*Config) { return func(c *Config) { c.Priority = p } }

// TestReconfigure: an instance whose configuration is changed keeps its state, and uses
// the new configuration from that moment on.
func TestReconfigure(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
		end   time.Duration
		want  string
	}{
		{
			name:  "a master tells its new priority at once, and goes on from there",
			steps: []step{{ms(4000), reconfigure(priority(50))}},
			end:   ms(5500),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 50, lease
				5s advert 50, lease
				5.5s advert 0, MASTER > INIT`,
		},
		{
			name:  "a master that is lower now yields to the next advert",
			steps: []step{{ms(4000), reconfigure(priority(50))}, {ms(4100), hear(90)}},
			end:   ms(4500),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 50, lease
				4.1s MASTER > BACKUP
				4.5s BACKUP > INIT`,
		},
		{
			name:  "a backup that is higher now takes over after its new Master_Down_Interval",
			steps: append([]step{{ms(1000), hear(150)}, {ms(1500), reconfigure(priority(200))}}, every(ms(2000), 3, hear(150))...),
			end:   ms(5000),
			want: `0s INIT > BACKUP
				4.21875s advert 200, lease, BACKUP > MASTER, announce
				5s advert 0, MASTER > INIT`,
		},
		{
			name:  "what does not change its time leaves a backup's timer alone",
			steps: []step{{ms(3000), reconfigure(func(c *Config) { c.NoPreempt = true })}},
			end:   ms(4000),
			want: `0s INIT > BACKUP
				3.609375s advert 100, lease, BACKUP > MASTER, announce
				4s advert 0, MASTER > INIT`,
		},
		{
			name:  "the owner of the addresses takes them at once",
			steps: []step{{ms(1000), reconfigure(priority(255))}},
			end:   ms(1500),
			want: `0s INIT > BACKUP
				1s advert 255, lease, BACKUP > MASTER, announce
				1.5s advert 0, MASTER > INIT`,
		},
		{
			name:  "in fault it waits on",
			steps: []step{{-1, fault("down")}, {ms(1000), reconfigure(priority(255))}, {ms(2000), fault("")}},
			end:   ms(2500),
			want: `0s INIT > FAULT
				2s advert 255, lease, FAULT > MASTER, announce
				2.5s advert 0, MASTER > INIT`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantStory(t, "instance", play(t, nil, tt.steps, tt.end), tt.want)
		})
	}
}
