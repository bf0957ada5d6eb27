# Does what the wiki's imapLogin does, call by call.
use Net::IMAP::Simple;

sub imapLogin {
  my ($host, $account, $password) = @_;
  my $imap = Net::IMAP::Simple->new($host) or return 0;
  my $result = $imap->login($account, $password) ? 1 : 0;
  $imap->close();
  return $result;
}
