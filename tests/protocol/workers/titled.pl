# Change the process title, and work until TERM comes: `titled.pl JOURNAL TITLE`. The command line is then only TITLE.
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
