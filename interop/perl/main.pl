#!/usr/bin/perl
# main.pl SUITE: full, short, refused or ring, against the broker that the environment names, by Net::Stomp: STOMP 1.0,
# as its programs use it, and 1.1 where a scenario needs it (the library then does not know its own receipts, because it
# leaves header escapes to the caller; and it never sends a body "0"). One line a scenario: "ok NAME" or "FAIL NAME
# reason", at the end "done".
use strict;
use warnings;
use utf8;
use Encode qw(encode);
use JSON::PP ();
use Net::Stomp;
use Time::HiRes qw(time sleep);

use constant { SOON => 10, NOTHING => 0.25, LIMIT_SECONDS => 30 };

$| = 1;
my ( $HOST, $PORT ) = split /:/, $ENV{INTEROP_STOMP};
my $RUN     = $ENV{INTEROP_RUN};
my $UNICODE = "gr\x{fc}\x{df}e \x{2603} \x{1f0a1} \x{65e5}\x{672c}\x{8a9e}";
my $PATTERN = join '', map { chr } 0 .. 255;

# --- connections -----------------------------------------------------------------------------------------------------

# The library selects on the socket and does not see what is left of a TLS record in IO::Socket::SSL: its buffer must
# hold a whole one, or the end of a message waits for the next.
sub open_socket {
    my %tls = $ENV{INTEROP_TLS} ? ( ssl => 1, ssl_options => { SSL_ca_file => $ENV{INTEROP_CA} } ) : ();
    return Net::Stomp->new( { hostname => $HOST, port => $PORT, timeout => SOON, receipt_timeout => SOON, bufsize => 1 << 15, %tls } );
}

# Headers of CONNECT, login and passcode among them when the environment has some.
sub connect_headers {
    my %headers = @_;
    return {
        defined $ENV{INTEROP_USER} ? ( login => $ENV{INTEROP_USER}, passcode => $ENV{INTEROP_PASSWORD} ) : (),
        %headers,
    };
}

sub client {
    my %headers = @_;
    my $stomp   = open_socket();
    my $frame   = $stomp->connect( connect_headers(%headers) );
    die 'not connected: ' . describe($frame) unless $frame && $frame->command eq 'CONNECTED';
    return $stomp;
}

sub destination {
    my ( $name, $kind ) = @_;
    return sprintf '/%s/%s.%s', $kind // 'queue', $RUN, $name;
}

# A persistent text, or bytes with content-length among the headers; waits for the receipt.
sub send_message {
    my ( $stomp, $to, $body, %headers ) = @_;
    $stomp->send_with_receipt( { destination => $to, body => $body, persistent => 'true', %headers } )
        or die "no receipt for a message to $to";
    return;
}

sub send_bytes {
    my ( $stomp, $to, $body, %headers ) = @_;
    return send_message( $stomp, $to, $body, 'content-length' => length $body, %headers );
}

sub receive {
    my ( $stomp, $timeout ) = @_;
    my $frame = $stomp->receive_frame( { timeout => $timeout // SOON } );
    die 'no message in time' unless $frame;
    die 'got ' . describe($frame) unless $frame->command eq 'MESSAGE';
    return $frame;
}

sub nothing {
    my ($stomp) = @_;
    my $frame = $stomp->receive_frame( { timeout => NOTHING } );
    die 'a message came that should not: ' . describe($frame) if $frame;
    return;
}

sub texts {
    my ( $stomp, $count ) = @_;
    return join ' ', map { receive($stomp)->body } 1 .. $count;
}

# What a queue holds, each redelivered message marked with "!"; it is taken.
sub left {
    my ($name) = @_;
    my $stomp = client();
    $stomp->subscribe( { destination => destination($name) } );
    my @found;
    while ( my $frame = $stomp->receive_frame( { timeout => NOTHING * 2 } ) ) {
        push @found, $frame->body . ( ( $frame->headers->{redelivered} // '' ) eq 'true' ? '!' : '' );
    }
    $stomp->disconnect;
    return join ' ', @found;
}

sub describe {
    my ($frame) = @_;
    return 'nothing' unless $frame;
    return $frame->command . ' ' . JSON::PP->new->canonical->encode( $frame->headers );
}

sub equal {
    my ( $what, $got, $want ) = @_;
    return if defined $got && $got eq $want;
    $got //= 'undefined';
    $got = substr( $got, 0, 200 ) . '... (' . length($got) . ' characters)' if length $got > 200;
    die "$what: got $got, want " . substr( $want, 0, 200 ) . "\n";
}

# --- scenarios -------------------------------------------------------------------------------------------------------

sub text {
    my $stomp = client();
    my $to    = destination('pl.text');
    $stomp->subscribe( { destination => $to } );
    for my $body ( 'hello', encode( 'UTF-8', $UNICODE ), 'x' x 100_000 ) {
        send_message( $stomp, $to, $body );
        equal( 'body', receive($stomp)->body, $body );
    }
    $stomp->disconnect;
}

sub bytes {
    my $stomp = client();
    my $to    = destination('pl.bytes');
    $stomp->subscribe( { destination => $to } );
    for my $body ( "\0", $PATTERN ) {
        send_bytes( $stomp, $to, $body );
        my $frame = receive($stomp);
        equal( 'body',           $frame->body,                      $body );
        equal( 'content-length', $frame->headers->{'content-length'}, length $body );
    }
    $stomp->disconnect;
}

sub properties {
    my $stomp = client();
    my $to    = destination('pl.properties');
    $stomp->subscribe( { destination => $to } );
    my %sent = ( plain => 'value', number => 42, 'correlation-id' => 'c1', type => 't', priority => 7 );
    send_message( $stomp, $to, 'body', %sent );
    my $got = receive($stomp)->headers;
    equal( $_, $got->{$_}, $sent{$_} ) for sort keys %sent;
    $stomp->disconnect;
}

sub transactional {
    my $stomp = client();
    my $to    = destination('pl.transaction');
    $stomp->subscribe( { destination => $to } );
    $stomp->send_transactional( { destination => $to, body => 'committed', persistent => 'true' } ) or die 'not committed';
    equal( 'committed', texts( $stomp, 1 ), 'committed' );
    my $frame = sub { $stomp->send_frame( Net::Stomp::Frame->new( { command => $_[0], headers => { transaction => 't' } } ) ) };
    $frame->('BEGIN');
    send_message( $stomp, $to, 'aborted', transaction => 't' );
    $frame->('ABORT');
    nothing($stomp);
    $stomp->disconnect;
}

sub client_acknowledge {
    my $name  = 'pl.client-acknowledge';
    my $stomp = client();
    send_message( $stomp, destination($name), $_ ) for 1 .. 5;
    $stomp->subscribe( { destination => destination($name), ack => 'client' } );
    my @frames = map { receive($stomp) } 0 .. 4;
    $stomp->ack( { frame => $frames[2] } );    # this one and all before it
    $stomp->disconnect;
    equal( 'left', left($name), '4! 5!' );
}

sub individual_acknowledge {
    my $name  = 'pl.individual';
    my $stomp = client();
    send_message( $stomp, destination($name), $_ ) for 1 .. 3;
    $stomp->subscribe( { destination => destination($name), ack => 'client-individual' } );
    my @frames = map { receive($stomp) } 0 .. 2;
    $stomp->ack( { frame => $frames[1] } );
    $stomp->disconnect;
    equal( 'left', left($name), '1! 3!' );
}

sub nack_dead_letters {
    my ( $sender, $stomp ) = ( client(), client( 'accept-version' => '1.1' ) );
    my $to = destination('pl.nack');
    send_message( $sender, $to, 'poison', run => $to );
    $stomp->subscribe( { destination => $to, id => 's', ack => 'client-individual' } );
    $stomp->nack( { frame => receive($stomp), subscription => 's' } );
    $stomp->unsubscribe( { id => 's' } );
    $stomp->subscribe( { destination => '/queue/ActiveMQ.DLQ', id => 'dead', selector => "run = '$to'" } );
    equal( 'body', texts( $stomp, 1 ), 'poison' );
    $_->disconnect for $sender, $stomp;
}

sub selectors {
    my $stomp = client();
    my $to    = destination('pl.selectors');
    send_message( $stomp, $to, $_, n => $_ ) for 1 .. 4;
    $stomp->subscribe( { destination => $to, selector => 'n BETWEEN 2 AND 3' } );
    equal( 'picked', texts( $stomp, 2 ), '2 3' );
    nothing($stomp);
    $stomp->disconnect;
    equal( 'left', left('pl.selectors'), '1 4' );
}

sub bad_selector {
    my $stomp = client();
    $stomp->subscribe( { destination => destination('pl.bad-selector'), selector => 'n ==== ' } );
    my $frame = $stomp->receive_frame( { timeout => SOON } );
    die 'got ' . describe($frame) . ', want ERROR' unless $frame && $frame->command eq 'ERROR';
    $stomp->disconnect;
}

sub browse {
    my ( $sender, $stomp ) = ( client(), client( 'accept-version' => '1.1' ) );
    my $to = destination('pl.browse');
    send_message( $sender, $to, $_ ) for 1 .. 3;
    $stomp->subscribe( { destination => $to, id => 'b', browser => 'true' } );
    equal( 'browsed', texts( $stomp, 3 ), '1 2 3' );
    equal( 'end', receive($stomp)->headers->{browser}, 'end' );
    $_->disconnect for $sender, $stomp;
    equal( 'left after browsing', left('pl.browse'), '1 2 3' );
}

sub request_reply {
    my ( $asker, $server ) = ( client(), client() );
    my $to = destination('pl.requests');
    $asker->subscribe( { destination => '/temp-queue/replies' } );
    $server->subscribe( { destination => $to } );
    send_message( $asker, $to, 'ask', 'reply-to' => '/temp-queue/replies' );
    my $request = receive($server);
    send_message( $server, $request->headers->{'reply-to'}, 'answer to ' . $request->body );
    equal( 'answer', texts( $asker, 1 ), 'answer to ask' );
    $_->disconnect for $asker, $server;
}

sub topic {
    my ( $stomp, $other ) = ( client(), client() );
    my $to = destination( 'pl.topic', 'topic' );
    send_message( $other, $to, 'nobody is there' );
    $stomp->subscribe( { destination => $to } );
    send_message( $stomp, destination('pl.topic.ready'), 'the subscription before this receipt is in place' );
    send_message( $other, $to, $_ ) for 1 .. 5;
    equal( 'texts', texts( $stomp, 5 ), '1 2 3 4 5' );
    $_->disconnect for $stomp, $other;
}

sub durable_topic {
    my $to   = destination( 'pl.durable', 'topic' );
    my %who  = ( 'client-id' => "$RUN.pl.durable" );
    my %sub  = ( destination => $to, id => 's', 'activemq.subscriptionName' => 'sub' );
    my $away = client(%who);
    $away->subscribe( {%sub} );
    send_message( $away, destination('pl.durable.ready'), 'the subscription before this receipt is in place' );
    $away->disconnect;
    my $other = client();
    send_message( $other, $to, $_ ) for 1 .. 5;
    $other->disconnect;
    my $back = connected_again(%who);
    $back->subscribe( {%sub} );
    equal( 'backlog', texts( $back, 5 ), '1 2 3 4 5' );
    $back->unsubscribe( { id => 's' } );
    $back->unsubscribe( {%sub} );
    $back->disconnect;
}

# Net::Stomp's DISCONNECT asks for no receipt, so the client id may be in use for a moment more.
sub connected_again {
    my $until = time + SOON;
    while (1) {
        my $stomp = eval { client(@_) };
        return $stomp if $stomp;
        die $@ if time > $until;
        sleep 0.02;
    }
}

sub expires {
    my $stomp = client();
    my $to    = destination('pl.expires');
    send_message( $stomp, $to, 'short', expires => int( time * 1000 ) + 150 );
    send_message( $stomp, $to, 'long',  expires => int( time * 1000 ) + 60_000 );
    sleep 0.3;    # the time to live is what is tested
    $stomp->subscribe( { destination => $to } );
    equal( 'what is left', texts( $stomp, 1 ), 'long' );
    nothing($stomp);
    $stomp->disconnect;
}

sub large {
    my $stomp = client();
    my $to    = destination('pl.large');
    my $body  = $PATTERN x ( 5 << 12 );
    send_bytes( $stomp, $to, $body );
    $stomp->subscribe( { destination => $to } );
    die 'body differs' unless receive($stomp)->body eq $body;
    $stomp->disconnect;
}

sub two_thousand {
    my ( $stomp, $sender ) = ( client(), client() );
    my $to = destination('pl.many');
    $stomp->subscribe( { destination => $to } );
    $sender->send( { destination => $to, body => $_ } ) for 1 .. 2000;
    equal( 'texts', texts( $stomp, 2000 ), join ' ', 1 .. 2000 );
    $_->disconnect for $stomp, $sender;
}

sub client_id_is_exclusive {
    my $first = client( 'client-id' => "$RUN.pl.one-only" );
    refused( 'client-id' => "$RUN.pl.one-only" );
    send_message( $first, destination('pl.one-only'), 'undisturbed' );
    $first->disconnect;
}

sub refused {
    my %headers = @_;
    my $frame   = eval { open_socket()->connect( connect_headers(%headers) ) };
    die 'was let in: ' . describe($frame) if $frame && $frame->command eq 'CONNECTED';
}

sub wrong_credentials {
    refused( login => $ENV{INTEROP_USER}, passcode => "not $ENV{INTEROP_PASSWORD}" );
    refused( login => 'nobody',           passcode => $ENV{INTEROP_PASSWORD} );
    refused( login => '',                 passcode => '' );
    text();    # the right ones still get in
}

# Checks what the library before has sent, and sends the same on.
sub ring {
    my $stomp = client();
    $stomp->subscribe( { destination => "/queue/$ENV{INTEROP_FROM}", ack => 'client' } );
    my ( $first, $second ) = ( receive($stomp), receive($stomp) );
    equal( 'text',  $first->body,  encode( 'UTF-8', $UNICODE ) );
    equal( 'bytes', $second->body, $PATTERN );
    my %own = ( count => 42, flag => 'true', price => '2.5', 'correlation-id' => 'correlation-1', type => 'ring', persistent => 'true' );
    my $color = encode( 'UTF-8', "bl\x{fc} \\ a:b" );    # no escapes in 1.0
    for my $frame ( $first, $second ) {
        equal( $_, $frame->headers->{$_}, $own{$_} ) for sort keys %own;
        equal( 'color', $frame->headers->{color}, $color );
    }
    my $to = "/queue/$ENV{INTEROP_TO}";
    send_message( $stomp, $to, encode( 'UTF-8', $UNICODE ), %own, color => $color );
    send_bytes( $stomp, $to, $PATTERN, %own, color => $color );
    $stomp->ack( { frame => $second } );
    $stomp->disconnect;
}

# --- suites ----------------------------------------------------------------------------------------------------------

my @short = (
    text                 => \&text,
    bytes                => \&bytes,
    properties           => \&properties,
    transactions         => \&transactional,
    'client-acknowledge' => \&client_acknowledge,
    'request-reply'      => \&request_reply,
    large                => \&large,
);
my %suites = (
    short => [@short],
    full  => [
        @short,
        'individual-acknowledge' => \&individual_acknowledge,
        'nack-dead-letters'      => \&nack_dead_letters,
        selectors                => \&selectors,
        'bad-selector'           => \&bad_selector,
        browse                   => \&browse,
        topic                    => \&topic,
        'durable-topic'          => \&durable_topic,
        expires                  => \&expires,
        'two-thousand'           => \&two_thousand,
        'client-id-is-exclusive' => \&client_id_is_exclusive,
    ],
    refused => [ 'wrong-credentials' => \&wrong_credentials ],
    ring    => [ ring                => \&ring ],
);

my @scenarios = @{ $suites{ $ARGV[0] } or die "no suite $ARGV[0]" };
while ( my ( $name, $scenario ) = splice @scenarios, 0, 2 ) {
    next if defined $ENV{INTEROP_ONLY} && $ENV{INTEROP_ONLY} ne $name;
    my $start = time;
    local $SIG{ALRM} = sub { die 'not done after ' . LIMIT_SECONDS . " s\n" };
    alarm LIMIT_SECONDS;
    my $ok     = eval { $scenario->(); 1 };
    my $reason = $@;
    alarm 0;
    $reason =~ s/\s+/ /g;
    printf "%s\n", $ok ? sprintf( 'ok %s %dms', $name, ( time - $start ) * 1000 ) : "FAIL $name $reason";
}
print "done\n";
