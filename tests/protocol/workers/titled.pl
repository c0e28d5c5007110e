# Changes its title, and works until TERM comes: `titled.pl JOURNAL TITLE`. Its command line has nothing else any more.
my ($journal, $title) = @ARGV;
sub note {
    open(my $file, '>>', $journal) or die;
    print $file "0 $_[0]\n";
    close($file);
}
$SIG{TERM} = sub { note("heard TERM"); exit 7 };
$0 = $title;
note("ready");
sleep 1 while 1;
