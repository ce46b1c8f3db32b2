package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"weir/conf"
	checks "weir/internal/check"
)

// genhashCommand is "weir genhash".
func genhashCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "genhash -s ADDRESS -p PORT -u URL",
		Short: "Print the digest of a page for HTTP_GET and SSL_GET",
		Long: `Ask a web server for a page as HTTP_GET and SSL_GET do, and print the MD5 sum of its
body. The options and the output are those of keepalived's genhash; weir is that
program when it is called genhash. With --conf the url block is printed, ready to
paste into HTTP_GET.

As with genhash the exit code is 1 for wrong options, and otherwise 0.`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return genhash(cmd.Context(), "weir genhash", args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// genhashOptions are what genhash is to ask for.
type genhashOptions struct {
	web     checks.HTTP
	page    checks.Page
	sni     bool
	verbose bool
	conf    bool
}

// genhash is the program of that name, called so.
func genhash(ctx context.Context, name string, args []string, out, complaints io.Writer) error {
	o := &genhashOptions{web: checks.HTTP{Kind: conf.CheckHTTP, Protocol: "1.0"}}
	if err := o.parse(args); err != nil {
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(complaints, err)
		}
		fmt.Fprintf(complaints, genhashUsage, name)
		return exitCode(1)
	}
	begin, keep := time.Now(), 0
	if o.verbose {
		keep = 1 << 30
	}
	answer, err := o.web.Fetch(ctx, o.page, keep)
	switch {
	case errors.Is(err, io.EOF):
		fmt.Fprintln(complaints, "no data received from remote webserver")
	case err != nil:
		fmt.Fprintln(out, failure(err))
	case o.conf:
		o.printConf(out, answer)
	default:
		o.print(out, answer)
	}
	if o.verbose {
		fmt.Fprintf(out, "\nGlobal response time for [%s] = %d usecs\n", o.page.Path, time.Since(begin).Microseconds())
	}
	return nil
}

// failure is why there is no answer, in genhash's words.
func failure(err error) string {
	var exchange *checks.ExchangeError
	late := errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case !errors.As(err, &exchange) && late:
		return "Timeout connecting"
	case exchange == nil:
		return "Connection failed"
	case exchange.Stage == checks.Handshake:
		return "SSL handshake/communication error connecting to"
	case late:
		return "Timeout HTTP read"
	}
	return "Read error with"
}

// The parts of what -v prints.
const (
	headerPart = "-----------------------[    HTTP Header Buffer    ]-----------------------\n"
	asciiPart  = "-----------------------[ HTTP Header Ascii Buffer ]-----------------------\n"
	bodyPart   = "-----------------------[        HTML Buffer        ]-----------------------\n"
	hashPart   = "-----------------------[    HTML hash resulting    ]-----------------------\n"
	finalPart  = "-----------------------[ HTML hash final resulting ]-----------------------\n"
)

// print writes the digest, and with -v what it is of.
func (o *genhashOptions) print(out io.Writer, a *checks.Answer) {
	var b bytes.Buffer
	if o.verbose {
		b.WriteString(headerPart)
		dump(&b, a.Header)
		fmt.Fprintf(&b, "%s%s\n", asciiPart, a.Header)
		if len(a.Body) > 0 {
			b.WriteString(bodyPart)
			dump(&b, a.Body)
		}
		b.WriteString("\n" + hashPart)
		dump(&b, a.Sum)
		b.WriteString(finalPart)
	}
	b.WriteString(hex.EncodeToString(a.Sum) + "\n")
	_, _ = out.Write(b.Bytes()) // whoever reads it has gone: there is nobody to tell
}

// printConf writes the block that expects this answer.
func (o *genhashOptions) printConf(out io.Writer, a *checks.Answer) {
	fmt.Fprintf(out, "url {\n    path %s\n    digest %x\n", o.page.Path, a.Sum)
	if a.Status != 0 && (a.Status < 200 || a.Status > 299) {
		fmt.Fprintf(out, "    status_code %d\n", a.Status)
	}
	if o.page.Host != "" {
		fmt.Fprintf(out, "    virtualhost %s\n", o.page.Host)
	}
	fmt.Fprintln(out, "}")
}

// dump writes bytes in hexadecimal and as text, 16 in a line.
func dump(b *bytes.Buffer, data []byte) {
	for from := 0; from < len(data); from += 16 {
		fmt.Fprintf(b, "%04d ", from&0xffff)
		for i := from; i < from+16; i++ {
			if i < len(data) {
				fmt.Fprintf(b, " %02x", data[i])
			} else {
				b.WriteString("   ")
			}
			if i == from+7 {
				b.WriteString(" -")
			}
		}
		b.WriteString("   ")
		for i := from; i < from+16; i++ {
			switch {
			case i >= len(data):
				b.WriteByte(' ')
			case data[i] < ' ' || data[i] > '~':
				b.WriteByte('.')
			default:
				b.WriteByte(data[i])
			}
		}
		b.WriteByte('\n')
	}
}

// server takes the address of -s.
func (o *genhashOptions) server(text string) error {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("server should be an IP, not %s", text)
	}
	o.web.Target = netip.AddrPortFrom(addr.Unmap(), o.web.Target.Port())
	return nil
}
