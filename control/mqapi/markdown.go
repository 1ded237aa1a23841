package mqapi

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

const introduction = `# Amazon MQ's API

<!-- Made from the tables of the package control/mqapi: go test ./control/mqapi -update writes it. -->

Godwit's control API is Amazon MQ's, for ActiveMQ brokers: AWS CLI v1 and v2, boto3, aws-sdk-go-v2 and what is built on them work unchanged once they are told another
endpoint (` + "`--endpoint-url`, `AWS_ENDPOINT_URL_MQ`" + `). This page says what there is and what is refused. It is about requests and answers as such; what an
operation does to a broker is behind them. ` + "`godwit serve`" + ` has it at ` + "`/v1`" + ` of its HTTP API where ` + "`service.enabled`" + ` says so (docs/operations.md).

`

const signing = `## Signing

Requests are signed with AWS Signature Version 4 in the Authorization header, for the service ` + "`mq`" + ` and any region, with an access key that the operator has made. The account is the key's, the region the
signature's: one endpoint serves all regions, and nobody sees another's brokers. ` + "`host` and `x-amz-date`" + ` must be signed, and every other ` + "`x-amz-*`" + ` header that is there. Presigned URLs, unsigned
or streamed bodies and temporary credentials are refused. A request that comes twice with the very same signature is answered twice while its time is within the limit, as by AWS: clients sign with whole
seconds, so that equal requests of one second are signed alike.

| error | status | when |
| --- | --- | --- |
| MissingAuthenticationTokenException | 403 | the request is not signed |
| IncompleteSignatureException | 400 | the header cannot be read, or lacks a part; or the signature is in the query |
| InvalidSignatureException | 403 | the signature is not that of this request and this secret; the clock is more than 5 minutes off, which aws-sdk-go-v2 corrects by itself; a header is not signed that must be |
| UnrecognizedClientException | 403 | there is no such key, or it is disabled; or the credentials are temporary |
| ExpiredTokenException | 403 | the key has expired |
| TooManyRequestsException | 429 | the account has made more than 100 requests at once and 15 a second from then on; clients try again by themselves |

These are the names that AWS's clients know from every service. ForbiddenException is only for what is another account's: Terraform takes it for the absence of a broker and drops that from its
state, which a mistyped secret must not bring about.

## For the operator

Below ` + "`/api/v1/mq`" + ` the same paths (` + "`/api/v1/mq/v1/brokers`" + `) are answered to the operator, who logs in as for all of the HTTP API (docs/http.md) and signs nothing: readers may ask, administrators may change. The headers
` + "`Godwit-Account` and `Godwit-Region`" + ` say for whom; without them it is ` + "`service.account` and `service.region`" + `. Rules, answers and errors are those of this page; there is no limit of requests. Go programs have
` + "`control/mqapi/client`" + `, people ` + "`godwit brokers create`, `update`, `delete`, `users`, `godwit configurations` and `godwit instance-types`" + `.

` + "`godwit aws-extras DIR`" + ` writes what teaches the AWS command line and boto3 the operations and members above that are Godwit's own; ` + "`AWS_DATA_PATH=DIR`" + ` makes them read it.

## Requests and errors

- An error has its name in the header ` + "`x-amzn-ErrorType`" + `, and in its body a message and, as ` + "`errorAttribute`" + `, the member of the request that is at fault: ` + "`users[0].password`" + `. Every answer has an
  ` + "`x-amzn-RequestId`" + `, under which the service's log has the request.
- Values of enumerations may be spelled in any case. Answers spell them as Amazon does: ` + "`ActiveMQ`, `simple`, `efs`, `SINGLE_INSTANCE`, `RUNNING`" + `.
- A member that is absent or null was not given, and an update leaves it as it is. Members that an operation does not have are passed over, because newer clients may send some.
- A body has at most 1 MiB, and 16 levels of objects and lists. It must be JSON in UTF-8 with each member once.
- CreateBroker with a ` + "`creatorRequestId`" + ` that was used before answers as it did then.
- Lists come in pages of 20 unless ` + "`maxResults`" + ` says otherwise. A ` + "`nextToken`" + ` holds for the same question, account and region.
- An operation has only errors that it declares: what is a conflict elsewhere is a BadRequestException where the operation has no ConflictException.
- OPTIONS is answered for browsers, on every path, without a signature.

## What answers say of a broker

- What is live is shown at once, and its ` + "`pending`" + ` member is absent: users, configuration, logs, security groups, instance type, storage size, maintenance window. A new engine version is ` + "`pendingEngineVersion`" + ` until
  the maintenance window or a reboot.
- ` + "`endpoints`" + ` stand in Amazon's order; only those are listed that there are: ` + "`ssl`" + `, then ` + "`stomp+ssl`" + `. They have addresses, not names. ` + "`consoleURL`" + ` is the same for all instances: the broker's page of the service's console, which always shows the active one.
- ` + "`actionsRequired`" + ` says what is wrong, in words: OPERATION_FAILS, REPAIR_BLOCKED, INSTANCE_DOWN; and CREATION_FAILED of a broker that could not be made, which Amazon does not say.
- ` + "`autoMinorVersionUpgrade`" + `: a newer Godwit on the nodes comes to the broker's instances in its maintenance window, with one failover. The engine version does not change by itself.
- ` + "`logs`" + `: each instance writes its log to ` + "`log/instance.log`" + ` in its folder, whatever ` + "`general`" + ` says; with ` + "`audit`" + ` it notes what was done to it, and by whom, in ` + "`log/audit.log`" + `.
- Kept and shown, though nothing follows from them: ` + "`publiclyAccessible`, `storageType`" + `, and a user's ` + "`consoleAccess`" + `.
- A configuration's data come back byte for byte. ` + "`warnings`" + ` tell what of them is not honoured; their reasons are Amazon's words, which say that it was removed.
- A broker without ` + "`configuration`" + ` gets one of its own, NAME-configuration, which stays when the broker is deleted.
- RebootBroker restarts the instances whether something is pending or not, of a pair with one failover.
- SwitchoverBroker with ` + "`plan`" + ` lists the clients that would not follow; no list means that nobody can tell.

`

// Markdown is docs/amazon-mq.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString("## Operations\n\n| operation | request | errors |\n| --- | --- | --- |\n")
	var own, refused []string
	for op := range ordered() {
		switch {
		case op.Refused != "":
			refused = append(refused, fmt.Sprintf("| %s | %s |\n", op.Name, op.Refused))
			continue
		case op.Extra:
			own = append(own, fmt.Sprintf("the operation %s", op.Name))
		}
		if !op.Extra {
			own = append(own, extras(op.Name, op.Request)...)
			if op.Response != nil {
				own = append(own, extras(op.Name+"'s answer", op.Response)...)
			}
		}
		var kinds []string
		for _, k := range op.Errors {
			if k != InternalServerError {
				kinds = append(kinds, strings.TrimSuffix(string(k), "Exception"))
			}
		}
		fmt.Fprintf(&b, "| %s | `%s %s` | %s |\n", op.Name, op.Method, op.Path, strings.Join(kinds, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(Structures)) {
		if slices.ContainsFunc(Members(Structures[name]), func(m Member) bool { return !m.Extra }) {
			own = append(own, extras(name, Structures[name])...)
		}
	}
	b.WriteString("\nGodwit's own, which clients must be taught: " + strings.Join(own, "; "))
	b.WriteString(".\n\n## Refused\n\nWhat Amazon MQ has and Godwit has not is refused by name, never accepted and passed over.\n\n| operation | why |\n| --- | --- |\n" + strings.Join(refused, ""))
	b.WriteString("\n| member | of | must be |\n| --- | --- | --- |\n")
	writeRules(&b, true)
	b.WriteString("\n" + signing)
	b.WriteString("## Members of requests\n\nWhat is not listed may be anything of its type. Whether a name is taken, a thing exists, or a quota is used up is not asked here. Limits, instance types and versions are the operator's to set; these are the defaults.\n\n| member | of | must be |\n| --- | --- | --- |\n")
	writeRules(&b, false)
	return b.String()
}

// extras are a structure's members that Amazon's has not.
func extras(name string, of reflect.Type) []string {
	var list []string
	for _, m := range Members(of) {
		if m.Extra {
			list = append(list, fmt.Sprintf("`%s` in %s", m.Wire, name))
		}
	}
	return list
}

func writeRules(b *strings.Builder, refusals bool) {
	for _, r := range rules {
		if r.Refuses != refusals {
			continue
		}
		of := r.Operations
		if of == nil {
			for op := range ordered() {
				if op.Refused == "" && slices.ContainsFunc(r.Attributes, func(a string) bool { return has(op.Request, a) }) {
					of = append(of, op.Name)
				}
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", strings.Join(r.Attributes, "`, `"), strings.Join(of, ", "), r.Demand)
	}
}

// has says whether a request has a member, by the path that a rule names it by.
func has(of reflect.Type, path string) bool {
	head, rest, _ := strings.Cut(path, ".")
	head = strings.TrimSuffix(head, "[]")
	for _, m := range Members(of) {
		if m.Wire != head {
			continue
		}
		t := m.Type
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		return rest == "" || t.Kind() == reflect.Struct && has(t, rest)
	}
	return false
}
