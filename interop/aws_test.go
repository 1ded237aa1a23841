package interop

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/mqapi/mqapitest"
)

// TestAmazonMQ has AWS's own clients speak to the wire layer of the control API, with a service in memory behind it: every operation through each client, and
// errors as these clients show them.
func TestAmazonMQ(t *testing.T) {
	needSomething(t)
	t.Run("boto3", func(t *testing.T) {
		runAWS(t, []string{filepath.Join(awsPython(t), "bin", "python"), "aws/main.py", "boto3"})
	})
	t.Run("AWS CLI v1", func(t *testing.T) {
		dir := awsPython(t)
		runAWS(t, []string{filepath.Join(dir, "bin", "python"), "aws/main.py", "cli"}, "INTEROP_AWS="+filepath.Join(dir, "bin", "aws"))
	})
	t.Run("AWS CLI v2", func(t *testing.T) {
		cli := awsCLI2()
		if cli == "" {
			skip(t, "AWS CLI v2: no aws of version 2 here (Debian: awscli)")
		}
		runAWS(t, []string{"python3", "aws/main.py", "cli"}, "INTEROP_AWS="+cli)
	})
	t.Run("aws-sdk-go-v2", func(t *testing.T) {
		dir := prepared(t, "awssdk", []string{"aws/sdk"}, func(dir string) error { return command("aws/sdk", "go", "build", "-o", filepath.Join(dir, "sdk"), ".") })
		runAWS(t, []string{filepath.Join(dir, "sdk")})
	})
}

func awsPython(t *testing.T) string {
	t.Helper()
	need(t, "boto3", "python3")
	return venv(t, "aws-python", "aws/requirements.txt")
}

// awsCLI2 is the first aws in the path that is of version 2, or "".
func awsCLI2() string {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		aws := filepath.Join(dir, "aws")
		if out, err := exec.Command(aws, "--version").CombinedOutput(); err == nil && strings.HasPrefix(string(out), "aws-cli/2") {
			return aws
		}
	}
	return ""
}

// runAWS runs a client program against services of its own.
func runAWS(t *testing.T, argv []string, env ...string) {
	t.Helper()
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	keys := mqapitest.Keys{
		"AKIDEXAMPLE": {Account: "123456789012", Secret: secret},
		"AKIDOTHER":   {Account: "210987654321", Secret: "another secret"},
		"AKIDPAST":    {Account: "123456789012", Secret: secret, Expires: time.Now().Add(-time.Hour)},
	}
	config := filepath.Join(t.TempDir(), "none") // so that nothing of the user's is read
	ctx, cancel := context.WithTimeout(t.Context(), programWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), append(env,
		"INTEROP_MQ="+serveMQ(t, keys, 0),
		"INTEROP_MQ_AHEAD="+serveMQ(t, keys, 10*time.Minute), // whose clock is ahead
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY="+secret, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+config, "AWS_SHARED_CREDENTIALS_FILE="+config,
		"AWS_DATA_PATH="+awsExtras(t), // with which botocore knows what is Godwit's own
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")...)
	cmd.WaitDelay = time.Second
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	report(t, stdout, nil)
	finish()
}

// awsExtras is a folder with what is to be merged into botocore's model of the API.
func awsExtras(t *testing.T) string {
	t.Helper()
	extras, err := mqapi.BotocoreExtras()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	model := filepath.Join(dir, "mq", "2017-11-27")
	if err := os.MkdirAll(model, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "service-2.sdk-extras.json"), extras, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serveMQ serves the API until the test ends, with a clock that is ahead of the client's, and gives its URL.
func serveMQ(t *testing.T, keys mqapi.Keys, ahead time.Duration) string {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	handler, err := mqapi.New(mqapi.Options{Service: &mqapitest.Service{}, Keys: keys, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		handler.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(l) }() // until Close
	t.Cleanup(func() { server.Close() })
	return "http://" + l.Addr().String()
}
